// The catalogue as proxyless gRPC reads it (gRFC A27): a Listener for every name that a client dials, and a
// route configuration, a cluster and its endpoints for every cluster. Nothing is built before a client asks for
// it by name; then it is kept, encoded once, until its service changes. What a client holds is never taken from
// it: a target that is gone stays, with a cluster that has no endpoints, until nobody is subscribed to it (rule
// O13 in docs/xds.md). A client may not even notice a listener that comes back as it was (@grpc/grpc-js-xds
// 1.14 compares it with the one it lost), but all of them notice endpoints.
import type { MergedService } from '../../../model/merge/types.ts';
import type { ChangeSet, Dialect, DialectSource, Wanted } from '../../dialect.ts';
import type { EncodedResource } from '../../resource.ts';
import { PUSH_ORDER } from '../../types.ts';
import type { ResourceType } from '../../types.ts';
import { clustersOf } from '../cluster-names.ts';
import type { NamedCluster } from '../cluster-names.ts';
import { buildGrpcCluster } from './cluster.ts';
import { buildGrpcEndpoints, emptyAssignment } from './endpoints.ts';
import { buildGrpcListener } from './listener.ts';
import { MissedNames } from './missed.ts';
import { hostOf, resolveTarget } from './names.ts';
import { buildGrpcRoutes } from './routes.ts';

const CLUSTER_TYPES = ['cds', 'eds', 'rds'] as const;
type ClusterType = (typeof CLUSTER_TYPES)[number];

/** What is gone and kept before it is worth to ask who still wants them. */
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
  /** Targets that lead nowhere any more and are still offered. */
  readonly #orphans = new Set<string>();
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
      for (const name of names) this.#resolveAgain(name);
    }
  }

  #resolveAgain(name: string): void {
    const before = this.#built.get('lds')?.get(name);
    const now = this.#listener(name);
    if (now) {
      this.#orphans.delete(name);
      if (now.version !== before?.version) addTo(this.#changes, 'lds', name);
    } else if (before) {
      this.#orphans.add(name);
      for (const cluster of before.dependents) if (this.#retired.has(cluster)) this.#empty(cluster);
    }
  }

  /** What still leads to a cluster that is gone fails at once. */
  #empty(cluster: string): void {
    const eds = this.#built.get('eds');
    const before = eds?.get(cluster);
    const none = emptyAssignment(cluster);
    if (!before || before.version === none.version) return;
    eds?.set(cluster, none);
    addTo(this.#changes, 'eds', cluster);
  }

  takeChanges(): ChangeSet {
    const changes = this.#changes;
    if (changes.size > 0) this.#changes = new Map();
    return changes;
  }

  /** Gives up what is gone and nobody wants any more. Cheap unless there is much of it that is new. */
  release(wanted: Wanted): void {
    if (this.#retired.size + this.#orphans.size <= 2 * this.#keptLast + RETIRED_SLACK) return;
    for (const name of this.#orphans) {
      if (wanted('lds', name)) continue;
      this.#orphans.delete(name);
      this.#built.get('lds')?.delete(name);
    }
    for (const cluster of this.#retired) {
      if (CLUSTER_TYPES.some((type) => wanted(type, cluster))) continue;
      this.#retired.delete(cluster);
      for (const type of CLUSTER_TYPES) this.#built.get(type)?.delete(cluster);
    }
    this.#keptLast = this.#retired.size + this.#orphans.size;
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
    const service = this.#serviceOf.get(name);
    if (service !== undefined) removeFrom(this.#listeners, service, name);
    const target = resolveTarget(name, this.#source);
    if (!target) {
      this.#serviceOf.delete(name);
      this.#missedTargets.add(hostOf(name), name);
      return undefined;
    }
    addTo(this.#listeners, target.service, name);
    this.#serviceOf.set(name, target.service);
    return this.#keep(buildGrpcListener(name, target.cluster));
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
        return buildGrpcCluster(name, rules);
      case 'eds':
        return buildGrpcEndpoints(name, port, rules, this.#source.get('eds', name));
      case 'rds':
        return buildGrpcRoutes(name, rules);
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
