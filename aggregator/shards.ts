// The shards, one per source and service, and the slices that are cut from them. Copy-on-write: a service that
// did not change keeps its object, so that consumers see by identity what changed, and one change costs what
// it touches, not the size of the catalogue. Decides nothing: what a shard holds is its source's business.
import { isDeepStrictEqual } from 'node:util';
import { BucketMap } from '../lib/bucket-map.ts';
import { DEFAULT_RULE_BOOK } from '../model/rules.ts';
import type { EndpointOverride, RuleBook, ServiceRules } from '../model/rules.ts';
import { NOTHING_MORE } from '../model/snapshot.ts';
import type { ServiceShards } from '../model/snapshot.ts';
import type { Shard } from '../model/shard.ts';
import { AddressIndex } from './addresses.ts';
import type { Conflicts } from './addresses.ts';
import { withoutShared } from './exempt.ts';

export interface ShardStoreOptions {
  /** True for a source that lists an address under several services on purpose (see AddressIndex). */
  readonly knowsOwners?: (source: string) => boolean;
  /** The addresses that other services claim from this one are others now. */
  readonly onConflicts?: (service: string, before: Conflicts, after: Conflicts) => void;
  /** A shard came (no `before`), changed, or went (no `after`). */
  readonly onShard?: (source: string, service: string, before?: Shard, after?: Shard) => void;
}

export class ShardStore {
  readonly #rank: ReadonlyMap<string, number>;
  readonly #bySource = new Map<string, Map<string, Shard>>();
  readonly #counts = new Map<string, number>();
  /** Sources that are dark, and since when. */
  readonly #dark = new Map<string, number>();
  /** Services whose slices say that this source is dark: they are written again when it is not. */
  readonly #saidDark = new Map<string, Set<string>>();
  #services = BucketMap.empty<ServiceShards>();
  /** Slices written since #services was made; undefined: the service is gone. */
  readonly #written = new Map<string, ServiceShards | undefined>();

  readonly #addresses: AddressIndex;
  readonly #onConflicts: NonNullable<ShardStoreOptions['onConflicts']>;
  readonly #onShard: NonNullable<ShardStoreOptions['onShard']>;
  #rules = DEFAULT_RULE_BOOK;
  /** By service; also of services that nobody speaks of now. */
  readonly #overrides = new Map<string, ReadonlyMap<string, EndpointOverride>>();

  /** @param order source names, best first; sources not named rank behind, by name. */
  constructor(order: readonly string[], options: ShardStoreOptions = {}) {
    this.#rank = new Map(order.map((name, index) => [name, index]));
    this.#addresses = new AddressIndex(options.knowsOwners ?? (() => false));
    this.#onConflicts = options.onConflicts ?? (() => undefined);
    this.#onShard = options.onShard ?? (() => undefined);
  }

  /** Writes only the services again whose rules are others now. False when there is none. */
  setRules(rules: RuleBook): boolean {
    const before = this.#rules;
    this.#rules = rules;
    const base = !isDeepStrictEqual(before.base, rules.base);
    const named = new Set([...before.services.keys(), ...rules.services.keys()]);
    for (const service of base ? this.#allServices() : named) this.#again(service);
    return this.#written.size > 0;
  }

  /** By endpointKey(). Writes this service alone; false when nothing is to be published. */
  setOverrides(service: string, overrides: ReadonlyMap<string, EndpointOverride>): boolean {
    if (overrides.size === 0) this.#overrides.delete(service);
    else this.#overrides.set(service, overrides);
    this.#again(service);
    return this.#written.size > 0;
  }

  /** The current view; later writes do not touch it. */
  services(): ReadonlyMap<string, ServiceShards> {
    this.#services = this.#services.with(this.#written);
    this.#written.clear();
    return this.#services;
  }

  counts(source: string): { readonly services: number; readonly endpoints: number } {
    return { services: this.#bySource.get(source)?.size ?? 0, endpoints: this.#counts.get(source) ?? 0 };
  }

  get(source: string, service: string): Shard | undefined {
    return this.#bySource.get(source)?.get(service);
  }

  /** All services of a source. */
  of(source: string): ReadonlyMap<string, Shard> {
    return this.#bySource.get(source) ?? new Map();
  }

  put(source: string, shard: Shard): void {
    const { service } = shard.group;
    const own = this.#bySource.get(source) ?? new Map<string, Shard>();
    this.#bySource.set(source, own);
    const before = own.get(service);
    if (before === shard) return;
    own.set(service, shard);
    this.#count(source, shard.group.endpoints.length - (before?.group.endpoints.length ?? 0));
    const shards = new Map(this.slice(service)?.shards);
    shards.set(source, shard);
    this.#claim(source, service, before, shard);
    this.#write(service, shards);
    this.#onShard(source, service, before, shard);
  }

  remove(source: string, service: string): void {
    const own = this.#bySource.get(source);
    const before = own?.get(service);
    if (!own || !before) return;
    own.delete(service);
    this.#count(source, -before.group.endpoints.length);
    const shards = new Map(this.slice(service)?.shards);
    shards.delete(source);
    this.#claim(source, service, before, undefined);
    this.#write(service, shards);
    this.#onShard(source, service, before, undefined);
  }

  /**
   * A source went dark (`since`: milliseconds since the epoch) or came back (undefined). Going dark writes
   * nothing: only a service that changes while the source is dark needs to know it.
   */
  setDark(source: string, since: number | undefined): void {
    if (since !== undefined) {
      if (!this.#dark.has(source)) this.#dark.set(source, since);
      return;
    }
    if (!this.#dark.delete(source)) return;
    const services = this.#saidDark.get(source) ?? new Set<string>();
    this.#saidDark.delete(source);
    for (const service of services) this.#again(service);
  }

  /** Everybody who has a conflict now that was none, or none any more, is written again. */
  #claim(source: string, service: string, before: Shard | undefined, after: Shard | undefined): void {
    for (const touched of this.#addresses.change(source, service, before?.group, after?.group)) {
      if (touched !== service) this.#again(touched);
    }
  }

  /** Writes a slice again because of something other than its shards; the same object when nothing is new. */
  #again(service: string): void {
    const slice = this.slice(service);
    if (slice) this.#write(service, slice.shards, slice);
  }

  *#allServices(): Iterable<string> {
    const gone = (service: string) => this.#written.has(service);
    for (const service of this.#written.keys()) yield service;
    for (const service of this.#services.keys()) if (!gone(service)) yield service;
  }

  #rulesOf(service: string): ServiceRules {
    return this.#rules.services.get(service) ?? this.#rules.base;
  }

  /** Services of which another service claims an address; those in ranges that may be shared included. */
  contested(): Iterable<string> {
    return this.#addresses.services();
  }

  /** The newest view of one service. */
  slice(service: string): ServiceShards | undefined {
    return this.#written.has(service) ? this.#written.get(service) : this.#services.get(service);
  }

  #count(source: string, delta: number): void {
    this.#counts.set(source, (this.#counts.get(source) ?? 0) + delta);
  }

  #write(service: string, shards: ReadonlyMap<string, Shard>, same?: ServiceShards): void {
    const before = this.slice(service)?.conflicts ?? NOTHING_MORE.conflicts;
    const rules = this.#rulesOf(service);
    const conflicts =
      shards.size === 0
        ? NOTHING_MORE.conflicts
        : withoutShared(this.#addresses.of(service), rules.sharedAddresses);
    if (conflicts !== before && !isDeepStrictEqual(conflicts, before)) {
      this.#onConflicts(service, before, conflicts);
    }
    if (shards.size === 0) return void this.#written.set(service, undefined);
    const next: ServiceShards = {
      ...NOTHING_MORE,
      service,
      shards: same ? shards : this.#inOrder(shards),
      dark: this.#darkAmong(service, shards),
      rules,
      overrides: this.#overrides.get(service) ?? NOTHING_MORE.overrides,
      conflicts,
    };
    if (same && isDeepStrictEqual(same, next)) return;
    this.#written.set(service, next);
  }

  #darkAmong(service: string, shards: ReadonlyMap<string, Shard>): ReadonlyMap<string, number> {
    if (this.#dark.size === 0) return NOTHING_MORE.dark;
    const dark = [...this.#dark].filter(([source]) => shards.has(source));
    for (const [source] of dark) {
      const services = this.#saidDark.get(source) ?? new Set();
      this.#saidDark.set(source, services.add(service));
    }
    return dark.length === 0 ? NOTHING_MORE.dark : new Map(dark);
  }

  #inOrder(shards: ReadonlyMap<string, Shard>): ReadonlyMap<string, Shard> {
    if (shards.size === 1) return shards;
    const rank = (name: string) => this.#rank.get(name) ?? Number.MAX_SAFE_INTEGER;
    return new Map([...shards].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1)));
  }
}
