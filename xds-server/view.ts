// What one node group sees: in Envoy's dialect the shared catalogue, or the part of it that is in scope, and the
// group's own listeners and inbound cluster; in that of gRPC what was asked for by name. Two nodes with equal
// answers to GroupKey see the same bytes. Of its own listeners those for what others call depend on its services too.
import { hostPatterns } from '../model/scope.ts';
import type { HostPatterns, Scope } from '../model/scope.ts';
import type { ChangeSet, Changes, ResourceSet } from './dialect.ts';
import { buildInboundCluster, inboundClusterName } from './resources/clusters.ts';
import { resolveTarget } from './resources/grpc/names.ts';
import { buildInboundListener, buildOutboundListener, buildUpstreamListener } from './resources/listeners.ts';
import type { Inbound, ListenAt, Upstream } from './resources/listeners.ts';
import type { Catalogue } from './resources/catalogue.ts';
import type { EncodedResource } from './resource.ts';
import type { ScopedResources } from './scoped.ts';
import { SetVersion } from './set-version.ts';
import type { ResourceType } from './types.ts';

/** Everything about a node that its resources depend on. */
export type GroupKey = EnvoyGroup | GrpcGroup;

export interface GrpcGroup {
  readonly dialect: 'grpc';
  /** Absent: `all`. */
  readonly scope?: Scope;
}

export interface EnvoyGroup {
  readonly dialect: 'envoy';
  readonly outbound: ListenAt;
  /** undefined: the node takes no inbound traffic through us. */
  readonly inbound: Inbound | undefined;
  /** Further services beside it, each at a port of its own, by name. */
  readonly further?: readonly Inbound[];
  /** Addresses of its own for services that are not called by HTTP; by cluster, each once. */
  readonly upstreams: readonly Upstream[];
  /** Absent: `all`. */
  readonly scope?: Scope;
  /** The cluster of its bootstrap by which it reaches our access log service; absent: it sends none. */
  readonly accessLog?: string;
}

/** What a view adds to, or chooses from. */
export interface Shared extends ResourceSet {
  setVersion(type: ResourceType, own?: SetVersion): string;
}

export interface View extends ResourceSet {
  /** Before changed(), where services are told of whose sidecars it may be. */
  update(changes: Changes): void;
  /** What an update changed for this group. */
  changed(changes: Changes): ChangeSet;
  /** Whether a wildcard covers this name, if there is such a resource. */
  covers(type: ResourceType, name: string): boolean;
  /** Equal for equal resources of a type on every replica. Constant time. */
  setVersion(type: ResourceType): string;
}

/**
 * @param scoped what there is in its scope, where that is a list.
 * @param samplePercent of the requests that nodes which can are to log; 0: none.
 */
export function viewOf(
  catalogue: Catalogue,
  key: GroupKey,
  scoped?: ScopedResources,
  samplePercent = 0,
): View {
  if (key.dialect === 'grpc') return new GrpcView(catalogue, key.scope);
  return key.scope === 'on-demand'
    ? new OnDemandView(catalogue, catalogue, key, samplePercent)
    : new EnvoyView(catalogue, scoped ?? catalogue, key, samplePercent);
}

/** No wildcard: gRPC names what it wants. What is out of scope does not exist for it. */
class GrpcView implements View {
  readonly #catalogue: Catalogue;
  readonly #hosts: HostPatterns | undefined;

  constructor(catalogue: Catalogue, scope: Scope | undefined) {
    this.#catalogue = catalogue;
    this.#hosts = isHosts(scope) ? hostPatterns(scope, catalogue) : undefined;
  }

  get(type: ResourceType, name: string): EncodedResource | undefined {
    return this.#sees(type, name) ? this.#catalogue.grpc.get(type, name) : undefined;
  }

  #sees(type: ResourceType, name: string): boolean {
    if (!this.#hosts) return true;
    const target = type === 'lds' ? resolveTarget(name, this.#catalogue) : this.#catalogue.clusterOf(name);
    return !target || this.#hosts.includes(target.service);
  }

  covers(): boolean {
    return false;
  }

  names(type: ResourceType): Iterable<string> {
    return this.#catalogue.grpc.names(type);
  }

  update(): void {
    // It has no sidecar.
  }

  changed({ grpc }: Changes): ChangeSet {
    return grpc;
  }

  /** Of the whole catalogue: which part of it was asked for differs from replica to replica. */
  setVersion(type: ResourceType): string {
    return this.#catalogue.setVersion(type);
  }
}

const appPorts = ({ inbound, further = [] }: EnvoyGroup): ReadonlySet<number> =>
  new Set([...(inbound ? [inbound] : []), ...further].map(({ appPort }) => appPort));

/** By the names of their listeners. */
export const inboundsOf = ({ inbound, further = [] }: EnvoyGroup): ReadonlyMap<string, Inbound> =>
  new Map([
    ...(inbound ? [['inbound', inbound] as const] : []),
    ...further.map((also) => [`inbound:${also.service}`, also] as const),
  ]);

class EnvoyView implements View {
  readonly #catalogue: Catalogue;
  readonly #shared: Shared & { changed?(): ChangeSet };
  readonly #inbounds: ReadonlyMap<string, Inbound>;
  readonly #own: Readonly<Partial<Record<ResourceType, Map<string, EncodedResource>>>>;
  readonly #ownVersions: Readonly<Partial<Record<ResourceType, SetVersion>>>;
  /** What the last update changed of its own listeners. */
  #last: { readonly by: Changes; readonly set: ChangeSet } | undefined;

  constructor(
    catalogue: Catalogue,
    shared: Catalogue | ScopedResources,
    key: EnvoyGroup,
    samplePercent: number,
  ) {
    this.#catalogue = catalogue;
    this.#shared = shared;
    this.#inbounds = inboundsOf(key);
    const accessLog = key.accessLog ? { cluster: key.accessLog, samplePercent } : undefined;
    const listeners = [
      buildOutboundListener(key.outbound, { isOnDemand: key.scope === 'on-demand', accessLog }),
      ...key.upstreams.map(buildUpstreamListener),
    ];
    const clusters: EncodedResource[] = [];
    for (const name of this.#inbounds.keys()) listeners.push(...this.#inboundListener(name));
    for (const port of appPorts(key)) clusters.push(buildInboundCluster(port));
    const byName = (resources: EncodedResource[]) => new Map(resources.map((r) => [r.name, r]));
    this.#own = { lds: byName(listeners), cds: byName(clusters) };
    this.#ownVersions = { lds: versionOf(listeners), cds: versionOf(clusters) };
  }

  get(type: ResourceType, name: string): EncodedResource | undefined {
    return this.#own[type]?.get(name) ?? this.#shared.get(type, name);
  }

  *names(type: ResourceType): Generator<string> {
    yield* this.#own[type]?.keys() ?? [];
    yield* this.#shared.names(type);
  }

  #inboundListener(name: string): EncodedResource[] {
    const inbound = this.#inbounds.get(name);
    return inbound
      ? [buildInboundListener(inbound, name, this.#catalogue.latencyRules(inbound.service))]
      : [];
  }

  update(changes: Changes): void {
    const names: string[] = [];
    for (const [name, { service }] of this.#inbounds) {
      if (changes.beside.has(service) && this.#renew(name)) names.push(name);
    }
    if (names.length === 0) return;
    const shared = this.#sharedChanges(changes);
    const set = new Map(shared).set('lds', new Set([...(shared.get('lds') ?? []), ...names]));
    this.#last = { by: changes, set };
  }

  /** True when it is another one now. */
  #renew(name: string): boolean {
    const { lds } = this.#own;
    const before = lds?.get(name);
    const [after] = this.#inboundListener(name);
    if (!after || after.version === before?.version) return false;
    if (before) this.#ownVersions.lds?.remove(before);
    this.#ownVersions.lds?.add(after);
    lds?.set(name, after);
    return true;
  }

  #sharedChanges({ envoy }: Changes): ChangeSet {
    return this.#shared.changed?.() ?? envoy;
  }

  changed(changes: Changes): ChangeSet {
    return this.#last?.by === changes ? this.#last.set : this.#sharedChanges(changes);
  }

  covers(_type: ResourceType, _name: string): boolean {
    return true;
  }

  setVersion(type: ResourceType): string {
    return this.#shared.setVersion(type, this.#ownVersions[type]);
  }
}

/**
 * Clusters come when they are asked for by name; without being asked those come that its own listeners name. Routes
 * are everybody's: they say by which names a service is called and how, and a request needs one before its cluster.
 */
class OnDemandView extends EnvoyView {
  readonly #unasked: ReadonlySet<string>;

  constructor(catalogue: Catalogue, shared: Catalogue, key: EnvoyGroup, samplePercent: number) {
    super(catalogue, shared, key, samplePercent);
    const inbound = [...appPorts(key)].map(inboundClusterName);
    this.#unasked = new Set([...inbound, ...key.upstreams.map(({ cluster }) => cluster)]);
  }

  override *names(type: ResourceType): Generator<string> {
    if (type === 'lds' || type === 'rds') return yield* super.names(type);
    for (const name of this.#unasked) if (this.get(type, name)) yield name;
  }

  override covers(type: ResourceType, name: string): boolean {
    return type === 'lds' || type === 'rds' || this.#unasked.has(name);
  }
}

export const isHosts = (scope: Scope | undefined): scope is readonly string[] =>
  scope !== undefined && typeof scope !== 'string';

function versionOf(resources: readonly EncodedResource[]): SetVersion {
  const version = new SetVersion();
  for (const resource of resources) version.add(resource);
  return version;
}
