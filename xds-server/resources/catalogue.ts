// From federation snapshots to resources, incrementally: only what belongs to a service whose slice
// changed is built again. Holds the resources that every Envoy-dialect client sees; what a node has of
// its own (listeners, inbound cluster) is added in view.ts.
import { changedKeys } from '../../lib/bucket-map.ts';
import { toError } from '../../lib/errors.ts';
import { mergeShards } from '../../model/merge.ts';
import type { MergedService } from '../../model/merge/types.ts';
import type { FederationSnapshot, ServiceShards } from '../../model/snapshot.ts';
import type { ChangeSet, Changes, Dialect, DialectSource } from '../dialect.ts';
import type { EncodedResource } from '../resource.ts';
import { SetVersion } from '../set-version.ts';
import { PUSH_ORDER } from '../types.ts';
import type { ResourceType } from '../types.ts';
import { Authorities } from './authorities.ts';
import { clustersOf } from './cluster-names.ts';
import { buildCluster } from './clusters.ts';
import { buildEndpoints } from './endpoints.ts';
import { GrpcDialect } from './grpc/dialect.ts';
import { RouteTable } from './route-table.ts';

export class Catalogue implements DialectSource {
  /** What proxyless gRPC clients see of the same services. */
  readonly grpc: Dialect;
  readonly #resources: Readonly<Record<ResourceType, Map<string, EncodedResource>>> = {
    cds: new Map(),
    eds: new Map(),
    lds: new Map(),
    rds: new Map(),
  };
  readonly #versions: Readonly<Record<ResourceType, SetVersion>> = {
    cds: new SetVersion(),
    eds: new SetVersion(),
    lds: new SetVersion(),
    rds: new SetVersion(),
  };
  #slices: ReadonlyMap<string, ServiceShards> = new Map();
  readonly #clustersOf = new Map<string, readonly string[]>();
  readonly #authorities = new Authorities();
  readonly #routes = new RouteTable();
  readonly #onFault: (service: string, error: Error) => void;
  readonly #changes = new Map<ResourceType, Set<string>>();

  /** @param onFault a service whose resources cannot be built: it keeps those it had. */
  constructor(onFault: (service: string, error: Error) => void) {
    this.#onFault = onFault;
    this.grpc = new GrpcDialect(this);
    // A listener names the route configuration from the first moment on: an empty one, not none.
    this.#set(this.#routes.resource());
  }

  get(type: ResourceType, name: string): EncodedResource | undefined {
    return this.#resources[type].get(name);
  }

  names(type: ResourceType): Iterable<string> {
    return this.#resources[type].keys();
  }

  setVersion(type: ResourceType, own?: SetVersion): string {
    return this.#versions[type].with(own);
  }

  clusterOf(name: string): { readonly service: string; readonly cluster: string } | undefined {
    return this.#authorities.clusterOf(name);
  }

  namesOf(service: string): Iterable<string> {
    return this.#authorities.namesOf(service);
  }

  merged(service: string): MergedService | undefined {
    const slice = this.#slices.get(service);
    if (!slice) return undefined;
    try {
      return mergeShards(slice);
    } catch (thrown) {
      this.#onFault(service, toError(thrown));
      return undefined;
    }
  }

  /** Takes the new state of the world; returns what changed for clients. */
  update(snapshot: FederationSnapshot): Changes {
    this.#changes.clear();
    if (snapshot.services === this.#slices) return { envoy: new Map(), grpc: new Map() };
    const routed = new Set<string>();
    for (const service of changedKeys(this.#slices, snapshot.services)) {
      const slice = snapshot.services.get(service);
      if (slice) this.#build(slice, routed);
      else this.#drop(service, routed);
    }
    this.#slices = snapshot.services;
    if (routed.size > 0) {
      this.#route(routed);
      this.grpc.renamed(routed);
    }
    const envoy: ChangeSet = new Map(PUSH_ORDER.flatMap((type) => this.#changed(type)));
    return { envoy, grpc: this.grpc.takeChanges() };
  }

  #changed(type: ResourceType): [ResourceType, ReadonlySet<string>][] {
    const names = this.#changes.get(type);
    return names ? [[type, new Set(names)]] : [];
  }

  #build(slice: ServiceShards, routed: Set<string>): void {
    try {
      this.#put(mergeShards(slice), routed);
    } catch (thrown) {
      this.#onFault(slice.service, toError(thrown));
    }
  }

  #put(service: MergedService, routed: Set<string>): void {
    // All built before any is set: a service that cannot be built changes nothing.
    const built = clustersOf(service).flatMap(({ name, port, rules }) => [
      buildCluster(name, port, rules),
      buildEndpoints(name, port, rules.policy),
    ]);
    for (const resource of built) this.#set(resource);
    const clusters = [...new Set(built.map((resource) => resource.name))];
    this.#retire(service.service, new Set(clusters));
    this.#clustersOf.set(service.service, clusters);
    for (const touched of this.#authorities.update(service.service, service)) routed.add(touched);
    this.grpc.put(service);
  }

  #drop(service: string, routed: Set<string>): void {
    this.#retire(service, new Set());
    this.#clustersOf.delete(service);
    for (const touched of this.#authorities.update(service, undefined)) routed.add(touched);
    this.grpc.drop(service);
  }

  /** Removes the clusters of a service that are not in `keep`. */
  #retire(service: string, keep: ReadonlySet<string>): void {
    for (const cluster of this.#clustersOf.get(service) ?? []) {
      if (keep.has(cluster)) continue;
      for (const type of ['cds', 'eds'] as const) {
        this.#unset(type, cluster);
      }
    }
  }

  #route(services: ReadonlySet<string>): void {
    for (const service of services) this.#routes.set(service, this.#authorities.of(service));
    this.#set(this.#routes.resource());
  }

  #set(resource: EncodedResource): void {
    const all = this.#resources[resource.type];
    const before = all.get(resource.name);
    if (before?.version === resource.version) return;
    if (before) this.#versions[resource.type].remove(before);
    this.#versions[resource.type].add(resource);
    all.set(resource.name, resource);
    this.#mark(resource.type, resource.name);
  }

  #unset(type: ResourceType, name: string): void {
    const before = this.#resources[type].get(name);
    if (!before) return;
    this.#versions[type].remove(before);
    this.#resources[type].delete(name);
    this.#mark(type, name);
  }

  #mark(type: ResourceType, name: string): void {
    const names = this.#changes.get(type) ?? new Set();
    names.add(name);
    this.#changes.set(type, names);
  }
}
