// What is so about one endpoint, since when, until when, and on whose word: the strongest fact first. Pure; the
// merge and the keepers decided, this only tells.
import type { MergedEndpoint, WithheldEndpoint } from '../../model/merge/types.ts';
import type { Witness } from '../../model/merge/witnesses.ts';
import type { EndpointNotes } from '../../model/notes.ts';
import type { EndpointOverride } from '../../model/rules.ts';
import type { DoubtCause } from '../../model/shard.ts';
import type { FederationSnapshot } from '../../model/snapshot.ts';
import { rfc3339 } from '../reasons.ts';
import type { Fact, FactJson } from '../types.ts';

export interface Known {
  readonly endpoint: MergedEndpoint | WithheldEndpoint;
  /** In the order of the config; at least one. */
  readonly witnesses: readonly Witness[];
  readonly override: EndpointOverride | undefined;
  readonly sources: FederationSnapshot['sources'];
  readonly notes: (source: string) => EndpointNotes | undefined;
}

interface Said {
  /** Milliseconds since the epoch; undefined or 0: not known. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly by: string;
  readonly why: string;
}

export function fact(is: Fact, { since, until, by, why }: Said): FactJson {
  return { is, since: time(since), until: time(until), by, why };
}

export const time = (ms: number | undefined): string | null =>
  ms === undefined || ms === 0 || !Number.isFinite(ms) || ms > MAX_DATE ? null : rfc3339(ms);

/** What a Date can hold (ECMA-262, time values). */
const MAX_DATE = 8.64e15;

export function factsOf(known: Known): readonly FactJson[] {
  return [
    ...refuted(known),
    ...ofHealth(known),
    ...ofDoubt(known),
    ...unpaid(known),
    ...weightFacts(known),
    ...ofConflict(known),
    ...standing(known),
    ...pinged(known),
  ];
}

function refuted({ endpoint, witnesses }: Known): readonly FactJson[] {
  const { quarantined } = endpoint.verdict;
  if (!quarantined) return [];
  const by = witnesses.find(({ mark }) => mark.quarantined)?.source ?? '';
  const why = `a ping was answered as ${quarantined.answeredAs}; ${by} lists the address here`;
  return [fact('quarantined', { since: quarantined.since, by: quarantined.answeredAs, why })];
}

/** What keeps it from new traffic, in the order of rule 5. */
function ofHealth({ endpoint, witnesses, override, sources }: Known): readonly FactJson[] {
  const { value, reason, by } = endpoint.verdict.health;
  const since = witnesses.find(({ source }) => source === by)?.since;
  switch (reason) {
    case 'operator':
      return [
        fact('drained', {
          since: override?.since,
          until: override?.until,
          by,
          why: override?.reason || 'by an operator',
        }),
      ];
    case 'intent':
      return [fact('leaving', { since, by, why: `${by} says draining` })];
    case 'weight-zero':
      return [fact('leaving', { since, by, why: `${by} gives it weight 0` })];
    case 'lost': {
      const dark = sources.get(by)?.staleSince;
      return [fact('drained', { since: dark, by, why: `${by} is dark, and its config says onLost: drain` })];
    }
    case 'status':
      if (value === 'healthy') return [];
      return [fact('failing', { since, by, why: `${by} says ${value}` })];
    case 'damping':
    case 'conflict':
    case 'silence':
      return [];
  }
}

const DOUBT_IN_WORDS: Readonly<Record<DoubtCause, (by: string) => string>> = {
  'removed-at-once': (by) => `${by} no longer lists it, and removed too much at once to be believed before`,
  'hold-over': (by) => `${by} has been dark for longer than it is trusted`,
  refuted: (by) => `${by} is dark, and it does not answer pings`,
};

function ofDoubt({ endpoint, notes }: Known): readonly FactJson[] {
  const { by, doubted, expired } = endpoint.verdict;
  const facts: FactJson[] = [];
  if (expired) {
    const over = doubted?.cause === 'refuted' ? 'pings refuted it' : 'its hold is over';
    const why = `${over}; it stays as the last one of ${by} in this service`;
    facts.push(fact('expired', { since: expired.since, by, why }));
  }
  if (doubted) {
    const why = DOUBT_IN_WORDS[doubted.cause](by);
    const until = expired ? undefined : notes(by)?.leavesAt;
    facts.push(fact('doubted', { since: doubted.since, until, by, why }));
  }
  return facts;
}

function unpaid({ endpoint }: Known): readonly FactJson[] {
  if (!('withheld' in endpoint) || endpoint.withheld !== 'no-share') return [];
  const by = endpoint.side;
  return [fact('no-share', { by, why: `the policy gives ${by} no share while others can serve` })];
}

function weightFacts({ endpoint, override, notes }: Known): readonly FactJson[] {
  const { verdict } = endpoint;
  const facts: FactJson[] = [];
  const noted = notes(verdict.by);
  const damping = verdict.factors.find(({ name }) => name === 'damping');
  const flaps = noted?.flaps;
  if (damping) {
    const told = flaps ? `, penalty ${flaps.penalty.toFixed(1)} of ${flaps.suppress}` : '';
    const why =
      damping.value === 0
        ? `it flaps${told}: nothing new goes there`
        : `it flaps${told}: weight × ${damping.value}`;
    facts.push(fact('damped', { until: flaps?.until, by: damping.origin, why }));
  }
  const warmUp = verdict.factors.find(({ name }) => name === 'warm-up');
  if (warmUp) {
    const { since, until } = noted?.warmUp ?? {};
    const why = `it is new: weight × ${warmUp.value}`;
    facts.push(fact('warming-up', { since, until, by: warmUp.origin, why }));
  }
  if (override && !override.drain && override.weight !== 0) {
    const set = [
      ...(override.weight === undefined ? [] : [`weight ${override.weight}`]),
      ...Object.entries(override.labels ?? {}).map(([name, value]) => `label ${name}=${value}`),
    ];
    const why = `${set.join(', ')}${override.reason === '' ? '' : `: ${override.reason}`}`;
    const { since, until, by } = override;
    facts.push(fact('overridden', { since, until, by, why }));
  }
  return facts;
}

function ofConflict({ endpoint, witnesses }: Known): readonly FactJson[] {
  const { conflicts, health, quarantined } = endpoint.verdict;
  if (conflicts.length === 0) return [];
  const isDecided = quarantined !== undefined || witnesses.some(({ mark }) => mark.proven);
  const undecided =
    health.reason === 'conflict' ? 'nothing new until a ping has proven who answers' : 'both are served';
  const then = isDecided ? 'a ping has decided' : undecided;
  const by = conflicts.join(', ');
  return [fact('conflict', { by, why: `${by} has the same address; ${then}` })];
}

/** Who vouches for it: those whose word counts, dark ones with the cause. */
function standing({ endpoint, witnesses, sources, notes }: Known): readonly FactJson[] {
  const { heard, doubted } = endpoint.verdict;
  const speakers = witnesses.filter(({ source }) => heard.includes(source));
  const isLive = ({ source }: Witness) => sources.get(source)?.state === 'live';
  const dark = speakers.filter((witness) => !isLive(witness));
  const live = doubted ? [] : speakers.filter(isLive);
  const since = live.reduce((least, witness) => Math.min(least, witness.since), Infinity);
  const by = live.map(({ source }) => source).join(', ');
  return [
    ...(live.length > 0 ? [fact('live', { since, by, why: `listed by ${by}` })] : []),
    ...dark.map(({ source }) => {
      const state = sources.get(source);
      return fact('dark', {
        since: state?.staleSince,
        until: notes(source)?.trustedUntil,
        by: source,
        why: state?.cause ?? 'not heard yet',
      });
    }),
  ];
}

/** What pings said, by the replica that pings. Of one that is quarantined that is told already. */
function pinged({ endpoint, witnesses, notes }: Known): readonly FactJson[] {
  if (endpoint.verdict.quarantined) return [];
  return witnesses.flatMap(({ source }) => {
    const { ping } = notes(source) ?? {};
    if (!ping) return [];
    const { aliveAt, named, failed, fall } = ping;
    const facts: FactJson[] = [];
    if (failed > 0) {
      const why = `no answer to ${failed} pings in a row; ${fall} refute it, while enough others are answered`;
      facts.push(fact('silent', { by: 'prober', why }));
    }
    if (aliveAt !== undefined) {
      const why = named ? 'a ping was answered in its name' : 'a ping was answered, without a name';
      facts.push(fact(named ? 'proven' : 'answering', { since: aliveAt, by: 'prober', why }));
    }
    return facts;
  });
}
