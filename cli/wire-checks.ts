// Pings by data planes: the endpoints whose life is in question are given to connected data planes to check (HDS), and
// what they find is told as a sidecar's verdicts. The control plane's own prober looks at the same endpoints
// from where it is; docs/merge.md, rule 10, says what both together prove. Endpoints of services with
// `identity: strict` are checked as well: who does not answer in their name is a lead.
import { howToPing, pathOf } from '../adapters/probe/prober.ts';
import { isOnLoopback, mayPing } from '../adapters/probe/reach.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import type { Config } from '../config/schema.ts';
import { sleep } from '../lib/clock.ts';
import type { Clock } from '../lib/clock.ts';
import type { Suspect, Verdict } from '../model/ping.ts';
import type { HealthTarget } from '../xds-server/hds/assign.ts';
import type { HealthReport, MisdirectionReport } from '../xds-server/hds/service.ts';
import { sourceEntry } from './wire-keeping.ts';

/** Endpoints that data planes look at, at once: what is more waits until others are settled. */
const MAX_ENDPOINTS = 1_000;
/** Checks that have to fail before a data plane no longer says `healthy`, and the interval of its reports. */
const INTERVALS = 3 + 1;

export interface SidecarChecks {
  readonly settings: { readonly intervalMs: number; readonly timeoutMs: number };
  hear(report: HealthReport): void;
  /** Asks, over and over, until `signal` aborts. */
  run(ask: (targets: readonly HealthTarget[]) => void, signal: AbortSignal): Promise<void>;
}

export function sidecarChecks(
  { probe, sources }: Pick<Config, 'probe' | 'sources'>,
  aggregator: Aggregator,
  { clock, onLead }: { readonly clock: Clock; readonly onLead: (lead: MisdirectionReport) => void },
): SidecarChecks {
  const entryOf = sourceEntry(sources);
  const ageMs = INTERVALS * probe.interval + 2 * probe.timeout;
  /** Whom a report is about. */
  let asked: ReadonlyMap<string, readonly Suspect[]> = new Map();
  const isReachable = ({ source, endpoint, cause }: Suspect): boolean => {
    const entry = entryOf(source);
    return mayPing(endpoint, {
      // What data planes took out, where this process cannot look, they give back.
      networks: cause === 'quarantined' ? [endpoint.network] : probe.networks,
      isLocal: entry !== undefined && isOnLoopback(entry),
    });
  };
  return {
    settings: { intervalMs: probe.interval, timeoutMs: probe.timeout },
    hear(report) {
      const { node, service: cluster, address, port, how, health } = report;
      const isLead = how === 'http' && health !== 'healthy' && !asked.has(placeOf(report));
      if (isLead) onLead({ node, cluster, address, port, answeredAs: '' });
      for (const { source, service, key, protocol } of asked.get(placeOf(report)) ?? []) {
        const verdict = verdictOf(report, howToPing(protocol) === 'http');
        if (verdict) aggregator.prove(source, service, key, verdict, { kind: 'sidecar', failing: 0, ageMs });
      }
    },
    async run(ask, signal) {
      if (!probe.enabled) return;
      while (!signal.aborted) {
        const suspects = first(suspectsOf(aggregator), MAX_ENDPOINTS, isReachable);
        asked = groupBy(suspects);
        const strict = first(
          strictTargets(aggregator, probe.path),
          MAX_ENDPOINTS - suspects.length,
          (target) => {
            return !asked.has(placeOf(target));
          },
        );
        ask([...suspects.flatMap((suspect) => targetsOf(suspect, probe.path)), ...strict]);
        await sleep(probe.interval, signal, clock).catch(() => undefined);
      }
    },
  };
}

/** What is doubted first: of dark sources there may be very many. */
function* suspectsOf(aggregator: Aggregator): Generator<Suspect> {
  yield* aggregator.suspects(false);
  yield* aggregator.suspects(true);
}

/** By name only: whether somebody is there at all is their source's business. */
function* strictTargets(
  { current }: Pick<Aggregator, 'current'>,
  byDefault: string,
): Generator<HealthTarget> {
  for (const { service, rules, shards } of current.services.values()) {
    if (rules.identity !== 'strict') continue;
    const seen = new Set<string>();
    for (const { group } of shards.values()) {
      for (const endpoint of group.endpoints) {
        const { address, port, portName } = endpoint;
        const protocol = group.ports.find(({ name }) => name === portName)?.protocol ?? '';
        const place = `${address} ${port}`;
        if (howToPing(protocol) !== 'http' || seen.has(place)) continue;
        seen.add(place);
        yield { service, address, port, how: 'http', path: pathOf(endpoint, byDefault) };
      }
    }
  }
}

function first<T>(items: Iterable<T>, most: number, wanted: (item: T) => boolean): readonly T[] {
  const found: T[] = [];
  for (const item of items) {
    if (found.length === most) break;
    if (wanted(item)) found.push(item);
  }
  return found;
}

const placeOf = ({ service, address, port }: Pick<HealthReport, 'service' | 'address' | 'port'>): string =>
  `${service} ${address} ${port}`;

function groupBy(suspects: readonly Suspect[]): ReadonlyMap<string, readonly Suspect[]> {
  const groups = new Map<string, Suspect[]>();
  for (const suspect of suspects) {
    const place = placeOf({ service: suspect.service, ...suspect.endpoint });
    groups.set(place, [...(groups.get(place) ?? []), suspect]);
  }
  return groups;
}

/** Asked for its name where it may know it, and always whether somebody is there at all. */
function targetsOf({ service, endpoint, protocol }: Suspect, byDefault: string): readonly HealthTarget[] {
  const how = howToPing(protocol);
  if (how === undefined) return [];
  const { address, port } = endpoint;
  const target = { service, address, port, path: pathOf(endpoint, byDefault) };
  const tcp: HealthTarget = { ...target, how: 'tcp' };
  return how === 'http' ? [{ ...target, how: 'http' }, tcp] : [tcp];
}

/**
 * @param isAskedByName that it answers in its own name is a proof; that it does not may have many reasons, of
 * which only the prober can tell one from the other. That nobody is there is a failure either way.
 */
function verdictOf({ how, health }: HealthReport, isAskedByName: boolean): Verdict | undefined {
  if (how === 'http') return health === 'healthy' ? { kind: 'alive' } : undefined;
  if (health !== 'healthy') return { kind: 'refused' };
  return isAskedByName ? undefined : { kind: 'unproven' };
}
