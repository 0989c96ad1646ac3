// /debug/heldz and /debug/identityz: what is held, and who is in question. Read from the catalogue and from what the
// keepers note; decides nothing. Pure.
import { endpointKey } from '../model/endpoint.ts';
import type { EndpointNotes } from '../model/notes.ts';
import type { ServiceRules } from '../model/rules.ts';
import type { DoubtCause, EndpointMark, Shard } from '../model/shard.ts';
import type { FederationSnapshot, ServiceShards, SourceState } from '../model/snapshot.ts';
import { time } from './explain/facts.ts';
import type { Items } from './types.ts';

/** A debug page: cut off where it would be too long to be read. */
interface Page<T> extends Items<T> {
  readonly truncated: boolean;
}

/** What pings by this replica said; null where it does not ping. */
interface PingJson {
  /** null: never, or not since its source went dark. */
  readonly lastAnswer: string | null;
  /** It was in the service's own name. */
  readonly named: boolean;
  /** Failures since then. */
  readonly failed: number;
}

/** One endpoint that its source does not vouch for now. */
interface HeldJson {
  readonly source: string;
  readonly service: string;
  /** endpointKey(). */
  readonly address: string;
  readonly cause: DoubtCause | 'dark';
  readonly since: string | null;
  /** While its source is dark. */
  readonly trustedUntil: string | null;
  /** When it leaves if nothing else happens; null: not known here, not yet, or never. */
  readonly leavesAt: string | null;
  readonly expired: boolean;
  readonly quarantined: boolean;
  readonly ping: PingJson | null;
}

/** One address of a service of which it is in question, or was, whose it is. */
interface IdentityJson {
  readonly source: string;
  readonly service: string;
  /** endpointKey(). */
  readonly address: string;
  readonly state: 'quarantined' | 'proven' | 'unproven';
  readonly since: string | null;
  readonly answeredAs: string | null;
  /** Other services that claim it. */
  readonly claimedBy: readonly string[];
  readonly identity: ServiceRules['identity'];
  readonly ping: PingJson | null;
}

export interface Around {
  readonly snapshot: FederationSnapshot;
  readonly notes: (source: string, service: string, key: string) => EndpointNotes | undefined;
  /** Only these; undefined: all. */
  readonly source: string | undefined;
  readonly service: string | undefined;
}

/** A page of a catalogue of a million must not hold up the others. */
const MOST = 10_000;

export function heldPage(around: Around): Page<HeldJson> {
  return page(around, (word) => heldJson(word, around));
}

export function identityPage(around: Around): Page<IdentityJson> {
  return page(around, (word) => identityJson(word, around));
}

/** One source's word on one endpoint. */
interface Word {
  readonly slice: ServiceShards;
  readonly source: string;
  readonly state: SourceState | undefined;
  readonly key: string;
  readonly mark: EndpointMark | undefined;
}

function page<T>(around: Around, jsonOf: (word: Word) => T | undefined): Page<T> {
  const items: T[] = [];
  for (const word of words(around)) {
    const json = jsonOf(word);
    if (json === undefined) continue;
    if (items.length >= MOST) return { items, truncated: true };
    items.push(json);
  }
  return { items, truncated: false };
}

function* words({ snapshot, source, service }: Around): Generator<Word> {
  const named = service === undefined ? undefined : snapshot.services.get(service);
  const slices = service === undefined ? snapshot.services.values() : named ? [named] : [];
  for (const slice of slices) {
    for (const [name, shard] of slice.shards) {
      if (source !== undefined && source !== name) continue;
      const state = snapshot.sources.get(name);
      if (state?.state === 'live' && shard.marks.size === 0 && slice.conflicts.size === 0) continue;
      for (const key of keysOf(shard)) yield { slice, source: name, state, key, mark: shard.marks.get(key) };
    }
  }
}

const keysOf = ({ group }: Shard): ReadonlySet<string> => new Set(group.endpoints.map(endpointKey));

function heldJson({ slice, source, state, key, mark }: Word, { notes }: Around): HeldJson | undefined {
  const isDark = state?.state !== 'live';
  if (!isDark && !mark?.doubted) return undefined;
  const noted = notes(source, slice.service, key);
  return {
    source,
    service: slice.service,
    address: key,
    cause: mark?.doubted?.cause ?? 'dark',
    since: time(mark?.doubted?.since ?? state?.staleSince),
    trustedUntil: time(noted?.trustedUntil),
    leavesAt: mark?.expired ? null : time(noted?.leavesAt),
    expired: mark?.expired !== undefined,
    quarantined: mark?.quarantined !== undefined,
    ping: pingJson(noted),
  };
}

function identityJson({ slice, source, key, mark }: Word, { notes }: Around): IdentityJson | undefined {
  const claimedBy = slice.conflicts.get(key) ?? [];
  const quarantined = mark?.quarantined;
  if (!quarantined && claimedBy.length === 0) return undefined;
  return {
    source,
    service: slice.service,
    address: key,
    state: quarantined ? 'quarantined' : mark?.proven ? 'proven' : 'unproven',
    since: time(quarantined?.since ?? mark?.proven?.since),
    answeredAs: quarantined?.answeredAs ?? null,
    claimedBy,
    identity: slice.rules.identity,
    ping: pingJson(notes(source, slice.service, key)),
  };
}

function pingJson(noted: EndpointNotes | undefined): PingJson | null {
  const { ping } = noted ?? {};
  return ping ? { lastAnswer: time(ping.aliveAt), named: ping.named, failed: ping.failed } : null;
}
