// From federation snapshots to resources, incrementally: only what belongs to a service whose slice
// changed is built again. Holds the resources that every Envoy-dialect client sees; what a node has of
// its own (listeners, inbound cluster) is added in view.ts.
import { mergeShards } from '../../model/merge.ts';
import type { MergedService } from '../../model/merge.ts';
import type { FederationSnapshot, ServiceShards } from '../../model/snapshot.ts';
import type { EncodedResource } from '../resource.ts';
import { PUSH_ORDER } from '../types.ts';
import type { ResourceType } from '../types.ts';
import { Authorities } from './authorities.ts';
import { buildCluster, buildEndpoints } from './clusters.ts';
import { buildOutboundRoutes, buildRouteFragment } from './routes.ts';
import type { RouteFragment } from './routes.ts';

/** Names that were added, changed or removed, by type. Absent type: nothing. */
export type ChangeSet = ReadonlyMap<ResourceType, ReadonlySet<string>>;

export class Catalogue {
  readonly #resources: Readonly<Record<ResourceType, Map<string, EncodedResource>>> = {
    cds: new Map(),
    eds: new Map(),
    lds: new Map(),
    rds: new Map(),
  };
  #slices: ReadonlyMap<string, ServiceShards> = new Map();
  readonly #clustersOf = new Map<string, readonly string[]>();
  readonly #authorities = new Authorities();
  /** By service, then one fragment per cluster. */
  readonly #fragments = new Map<string, readonly RouteFragment[]>();
  readonly #changes = new Map<ResourceType, Set<string>>();

  constructor() {
    // A listener names the route configuration from the first moment on: an empty one, not none.
    this.#set(buildOutboundRoutes([]));
  }

  resources(type: ResourceType): ReadonlyMap<string, EncodedResource> {
    return this.#resources[type];
  }

  /** Takes the new state of the world; returns what changed for clients. */
  update(snapshot: FederationSnapshot): ChangeSet {
    this.#changes.clear();
    const routed = new Set<string>();
    for (const [service, slice] of snapshot.services) {
      if (this.#slices.get(service) === slice) continue;
      this.#put(mergeShards(slice), routed);
    }
    for (const service of this.#slices.keys()) {
      if (!snapshot.services.has(service)) this.#drop(service, routed);
    }
    this.#slices = snapshot.services;
    if (routed.size > 0) this.#route(routed);
    return new Map(PUSH_ORDER.flatMap((type) => this.#changed(type)));
  }

  #changed(type: ResourceType): [ResourceType, ReadonlySet<string>][] {
    const names = this.#changes.get(type);
    return names ? [[type, new Set(names)]] : [];
  }

  #put(service: MergedService, routed: Set<string>): void {
    const clusters: string[] = [];
    for (const port of service.ports) {
      const cluster = buildCluster(service, port);
      clusters.push(cluster.name);
      this.#set(cluster);
      this.#set(buildEndpoints(service, port));
    }
    this.#retire(service.service, new Set(clusters));
    this.#clustersOf.set(service.service, clusters);
    for (const touched of this.#authorities.update(service.service, service)) routed.add(touched);
  }

  #drop(service: string, routed: Set<string>): void {
    this.#retire(service, new Set());
    this.#clustersOf.delete(service);
    for (const touched of this.#authorities.update(service, undefined)) routed.add(touched);
  }

  /** Removes the clusters of a service that are not in `keep`. */
  #retire(service: string, keep: ReadonlySet<string>): void {
    for (const cluster of this.#clustersOf.get(service) ?? []) {
      if (keep.has(cluster)) continue;
      for (const type of ['cds', 'eds'] as const) {
        this.#resources[type].delete(cluster);
        this.#mark(type, cluster);
      }
    }
  }

  #route(services: ReadonlySet<string>): void {
    for (const service of services) {
      const parts = this.#authorities
        .of(service)
        .map((a) => buildRouteFragment(a.cluster, a.domains, a.headers));
      if (parts.length === 0) this.#fragments.delete(service);
      else this.#fragments.set(service, parts);
    }
    const ordered = [...this.#fragments].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, parts]) => parts);
    this.#set(buildOutboundRoutes(ordered));
  }

  #set(resource: EncodedResource): void {
    const all = this.#resources[resource.type];
    if (all.get(resource.name)?.version === resource.version) return;
    all.set(resource.name, resource);
    this.#mark(resource.type, resource.name);
  }

  #mark(type: ResourceType, name: string): void {
    const names = this.#changes.get(type) ?? new Set();
    names.add(name);
    this.#changes.set(type, names);
  }
}
