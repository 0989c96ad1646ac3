// The shards, one per source and service, and the slices that are cut from them. Copy-on-write: a service that
// did not change keeps its object, so that consumers see by identity what changed, and one change costs what
// it touches, not the size of the catalogue. Decides nothing: what a shard holds is its source's business.
import { BucketMap } from '../lib/bucket-map.ts';
import { NOTHING_MORE } from '../model/snapshot.ts';
import type { ServiceShards } from '../model/snapshot.ts';
import type { Shard } from '../model/shard.ts';

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

  /** @param order source names, best first; sources not named rank behind, by name. */
  constructor(order: readonly string[]) {
    this.#rank = new Map(order.map((name, index) => [name, index]));
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
    const shards = new Map(this.#slice(service)?.shards);
    shards.set(source, shard);
    this.#write(service, shards);
  }

  remove(source: string, service: string): void {
    const own = this.#bySource.get(source);
    const before = own?.get(service);
    if (!own || !before) return;
    own.delete(service);
    this.#count(source, -before.group.endpoints.length);
    const shards = new Map(this.#slice(service)?.shards);
    shards.delete(source);
    this.#write(service, shards);
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
    for (const service of services) {
      const slice = this.#slice(service);
      if (slice) this.#write(service, new Map(slice.shards));
    }
  }

  #slice(service: string): ServiceShards | undefined {
    return this.#written.has(service) ? this.#written.get(service) : this.#services.get(service);
  }

  #count(source: string, delta: number): void {
    this.#counts.set(source, (this.#counts.get(source) ?? 0) + delta);
  }

  #write(service: string, shards: Map<string, Shard>): void {
    if (shards.size === 0) return void this.#written.set(service, undefined);
    this.#written.set(service, {
      ...NOTHING_MORE,
      service,
      shards: this.#inOrder(shards),
      dark: this.#darkAmong(service, shards),
    });
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

  #inOrder(shards: Map<string, Shard>): ReadonlyMap<string, Shard> {
    if (shards.size === 1) return shards;
    const rank = (name: string) => this.#rank.get(name) ?? Number.MAX_SAFE_INTEGER;
    return new Map([...shards].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1)));
  }
}
