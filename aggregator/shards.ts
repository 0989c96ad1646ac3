// The shards, one per source and service, and nothing else. Copy-on-write: a service that did not change
// keeps its object, so that consumers see by identity what changed.
import { isDeepStrictEqual } from 'node:util';
import type { EndpointGroup } from '../model/endpoint.ts';
import type { ServiceShards } from '../model/snapshot.ts';

export class ShardStore {
  readonly #rank: ReadonlyMap<string, number>;
  readonly #bySource = new Map<string, Map<string, EndpointGroup>>();
  readonly #counts = new Map<string, number>();
  #services: Map<string, ServiceShards> = new Map();
  /** True while #services was handed out and must be copied before the next write. */
  #shared = false;

  /** @param order source names, best first; sources not named rank behind, by name. */
  constructor(order: readonly string[]) {
    this.#rank = new Map(order.map((name, index) => [name, index]));
  }

  /** The current view; later writes do not touch it. */
  services(): ReadonlyMap<string, ServiceShards> {
    this.#shared = true;
    return this.#services;
  }

  counts(source: string): { readonly services: number; readonly endpoints: number } {
    return { services: this.#bySource.get(source)?.size ?? 0, endpoints: this.#counts.get(source) ?? 0 };
  }

  /** The whole truth of a source: what is not in `groups` goes. */
  replace(source: string, groups: readonly EndpointGroup[]): void {
    const keep = new Set(groups.map((group) => group.service));
    for (const service of this.#bySource.get(source)?.keys() ?? []) {
      if (!keep.has(service)) this.remove(source, service);
    }
    for (const group of groups) this.put(source, group);
  }

  put(source: string, group: EndpointGroup): void {
    const own = this.#bySource.get(source) ?? new Map<string, EndpointGroup>();
    this.#bySource.set(source, own);
    const before = own.get(group.service);
    if (before && isDeepStrictEqual(before, group)) return;
    own.set(group.service, group);
    this.#count(source, group.endpoints.length - (before?.endpoints.length ?? 0));
    const shards = new Map(this.#services.get(group.service)?.shards);
    shards.set(source, group);
    this.#write(group.service, shards);
  }

  remove(source: string, service: string): void {
    const own = this.#bySource.get(source);
    const before = own?.get(service);
    if (!own || !before) return;
    own.delete(service);
    this.#count(source, -before.endpoints.length);
    const shards = new Map(this.#services.get(service)?.shards);
    shards.delete(source);
    this.#write(service, shards);
  }

  #count(source: string, delta: number): void {
    this.#counts.set(source, (this.#counts.get(source) ?? 0) + delta);
  }

  #write(service: string, shards: Map<string, EndpointGroup>): void {
    if (this.#shared) {
      this.#services = new Map(this.#services);
      this.#shared = false;
    }
    if (shards.size === 0) this.#services.delete(service);
    else this.#services.set(service, { service, shards: this.#inOrder(shards) });
  }

  #inOrder(shards: Map<string, EndpointGroup>): ReadonlyMap<string, EndpointGroup> {
    const rank = (name: string) => this.#rank.get(name) ?? Number.MAX_SAFE_INTEGER;
    return new Map([...shards].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1)));
  }
}
