// The catalogue as proxyless gRPC reads it (gRFC A27): a Listener for every name that a client dials, and a
// route configuration, a cluster and its endpoints for every cluster. Nothing is built before a client asks for
// it by name; then it is kept, encoded once, until its service changes. What a client may still use is never
// taken from it: a cluster that is gone stays until nobody is subscribed to it (rule O13 in docs/xds.md).
import type { MergedService } from '../../../model/merge/types.ts';
import type { ChangeSet, Dialect, DialectSource, Wanted } from '../../dialect.ts';
import type { EncodedResource } from '../../resource.ts';
import { PUSH_ORDER } from '../../types.ts';
import type { ResourceType } from '../../types.ts';
import { clustersOf } from '../cluster-names.ts';
import type { NamedCluster } from '../cluster-names.ts';
import { buildGrpcCluster } from './cluster.ts';
import { buildGrpcEndpoints } from './endpoints.ts';
import { buildGrpcListener } from './listener.ts';
import { MissedNames } from './missed.ts';
import { hostOf, resolveTarget } from './names.ts';
import { buildGrpcRoutes } from './routes.ts';

const CLUSTER_TYPES = ['cds', 'eds', 'rds'] as const;
type ClusterType = (typeof CLUSTER_TYPES)[number];

/** Clusters that are gone and kept before it is worth to ask who still wants them. */
const RETIRED_SLACK = 16;

export class GrpcDialect implements Dialect {
  readonly #source: DialectSource;
  readonly #built = new Map<ResourceType, Map<string, EncodedResource>>(
    PUSH_ORDER.map((type) => [type, new Map()]),
  );
  /** Names of listeners and of clusters that were built, by service. */
  readonly #listeners = new Map<string, Set<string>>();
  readonly #clusters = new Map<string, Set<string>>();
  /** By listener's name. */
  readonly #serviceOf = new Map<string, string>();
  readonly #missedTargets = new MissedNames();
  readonly #missedClusters = new MissedNames();
  /** Clusters that are gone and still offered. */
  readonly #retired = new Set<string>();
  #keptLast = 0;
  #changes = new Map<ResourceType, Set<string>>();

  constructor(source: DialectSource) {
    this.#source = source;
  }

  get(type: ResourceType, name: string): EncodedResource | undefined {
    const built = this.#built.get(type)?.get(name);
    if (built) return built;
    if (type === 'lds') return this.#listener(name);
    return isClusterType(type) ? this.#ofCluster(type, name) : undefined;
  }

  /** gRPC clients name what they want; a wildcard covers nothing. */
  names(): Iterable<string> {
    return [];
  }

  put(service: MergedService): void {
    const all = clustersOf(service);
    for (const cluster of all) {
      const missed = this.#missedClusters.take(cluster.name).size > 0;
      for (const type of CLUSTER_TYPES) {
        const before = this.#built.get(type)?.get(cluster.name);
        if (!before && !missed) continue;
        const { version } = this.#setOfCluster(type, service, cluster);
        if (version !== before?.version) addTo(this.#changes, type, cluster.name);
      }
      this.#retired.delete(cluster.name);
    }
    this.#retire(service.service, new Set(all.map(({ name }) => name)));
  }

  drop(service: string): void {
    this.#retire(service, new Set());
  }

  renamed(services: ReadonlySet<string>): void {
    for (const service of services) {
      const names = new Set(this.#listeners.get(service));
      for (const name of this.#source.namesOf(service)) {
        for (const missed of this.#missedTargets.take(hostOf(name))) names.add(missed);
      }
      for (const name of names) {
        const before = this.#built.get('lds')?.get(name);
        this.#forgetListener(name);
        if (this.#listener(name)?.version !== before?.version) addTo(this.#changes, 'lds', name);
      }
    }
  }

  takeChanges(): ChangeSet {
    const changes = this.#changes;
    if (changes.size > 0) this.#changes = new Map();
    return changes;
  }

  /** Gives up clusters that are gone and that nobody wants any more. Cheap unless there are many new ones. */
  release(wanted: Wanted): void {
    if (this.#retired.size <= 2 * this.#keptLast + RETIRED_SLACK) return;
    for (const cluster of this.#retired) {
      if (CLUSTER_TYPES.some((type) => wanted(type, cluster))) continue;
      this.#retired.delete(cluster);
      for (const type of CLUSTER_TYPES) this.#built.get(type)?.delete(cluster);
    }
    this.#keptLast = this.#retired.size;
  }

  /** Clusters of a service that are not in `keep` are gone; what was built of them stays as it is. */
  #retire(service: string, keep: ReadonlySet<string>): void {
    for (const cluster of this.#clusters.get(service) ?? []) {
      if (keep.has(cluster)) continue;
      removeFrom(this.#clusters, service, cluster);
      this.#retired.add(cluster);
    }
  }

  /** Built anew, and kept under the service that it leads to. */
  #listener(name: string): EncodedResource | undefined {
    if (this.#missedTargets.has(hostOf(name), name)) return undefined;
    const target = resolveTarget(name, this.#source);
    if (!target) {
      this.#missedTargets.add(hostOf(name), name);
      return undefined;
    }
    addTo(this.#listeners, target.service, name);
    this.#serviceOf.set(name, target.service);
    return this.#keep(buildGrpcListener(name, target.cluster));
  }

  #forgetListener(name: string): void {
    const service = this.#serviceOf.get(name);
    if (service === undefined) return;
    this.#serviceOf.delete(name);
    removeFrom(this.#listeners, service, name);
    this.#built.get('lds')?.delete(name);
  }

  #ofCluster(type: ClusterType, name: string): EncodedResource | undefined {
    if (this.#missedClusters.has(name, name)) return undefined;
    const target = this.#source.clusterOf(name);
    const service = target?.cluster === name ? this.#source.merged(target.service) : undefined;
    const cluster = service && clustersOf(service).find((each) => each.name === name);
    if (cluster) return this.#setOfCluster(type, service, cluster);
    this.#missedClusters.add(name, name);
    return undefined;
  }

  #setOfCluster(type: ClusterType, { service }: MergedService, cluster: NamedCluster): EncodedResource {
    addTo(this.#clusters, service, cluster.name);
    return this.#keep(this.#build(type, cluster));
  }

  #build(type: ClusterType, { name, port, rules }: NamedCluster): EncodedResource {
    switch (type) {
      case 'cds':
        return buildGrpcCluster(name);
      case 'eds':
        return buildGrpcEndpoints(name, port, rules, this.#source.get('eds', name));
      case 'rds':
        return buildGrpcRoutes(name);
    }
  }

  /** What is equal to what was there stays the same object. */
  #keep(resource: EncodedResource): EncodedResource {
    const all = this.#built.get(resource.type);
    const before = all?.get(resource.name);
    if (before?.version === resource.version) return before;
    all?.set(resource.name, resource);
    return resource;
  }
}

const isClusterType = (type: ResourceType): type is ClusterType =>
  (CLUSTER_TYPES as readonly ResourceType[]).includes(type);

function addTo<K>(all: Map<K, Set<string>>, key: K, name: string): void {
  const names = all.get(key) ?? new Set();
  names.add(name);
  all.set(key, names);
}

function removeFrom(all: Map<string, Set<string>>, key: string, name: string): void {
  const names = all.get(key);
  names?.delete(name);
  if (names?.size === 0) all.delete(key);
}
