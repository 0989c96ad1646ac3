// What one node group sees: in Envoy's dialect the shared catalogue and the group's own listeners and inbound
// cluster, in that of gRPC what was asked for by name. Two nodes with equal answers to GroupKey see the same
// bytes.
import type { ChangeSet, Changes, ResourceSet } from './dialect.ts';
import { buildInboundCluster } from './resources/clusters.ts';
import { buildInboundListener, buildOutboundListener, buildUpstreamListener } from './resources/listeners.ts';
import type { Inbound, ListenAt, Upstream } from './resources/listeners.ts';
import type { Catalogue } from './resources/catalogue.ts';
import type { EncodedResource } from './resource.ts';
import { SetVersion } from './set-version.ts';
import type { ResourceType } from './types.ts';

/** Everything about a node that its resources depend on. */
export type GroupKey = EnvoyGroup | { readonly dialect: 'grpc' };

export interface EnvoyGroup {
  readonly dialect: 'envoy';
  readonly outbound: ListenAt;
  /** undefined: the node takes no inbound traffic through us. */
  readonly inbound: Inbound | undefined;
  /** Addresses of its own for services that are not called by HTTP; by cluster, each once. */
  readonly upstreams: readonly Upstream[];
}

export interface View extends ResourceSet {
  /** What an update changed for this group. */
  changed(changes: Changes): ChangeSet;
  /** Equal for equal resources of a type on every replica. Constant time. */
  setVersion(type: ResourceType): string;
}

export const viewOf = (catalogue: Catalogue, key: GroupKey): View =>
  key.dialect === 'grpc' ? new GrpcView(catalogue) : new EnvoyView(catalogue, key);

/** No wildcard: gRPC names what it wants. */
class GrpcView implements View {
  readonly #catalogue: Catalogue;

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue;
  }

  get(type: ResourceType, name: string): EncodedResource | undefined {
    return this.#catalogue.grpc.get(type, name);
  }

  names(type: ResourceType): Iterable<string> {
    return this.#catalogue.grpc.names(type);
  }

  changed({ grpc }: Changes): ChangeSet {
    return grpc;
  }

  /** Of the whole catalogue: which part of it was asked for differs from replica to replica. */
  setVersion(type: ResourceType): string {
    return this.#catalogue.setVersion(type);
  }
}

class EnvoyView implements View {
  readonly #shared: Catalogue;
  readonly #own: Readonly<Partial<Record<ResourceType, ReadonlyMap<string, EncodedResource>>>>;
  readonly #ownVersions: Readonly<Partial<Record<ResourceType, SetVersion>>>;

  constructor(shared: Catalogue, key: EnvoyGroup) {
    this.#shared = shared;
    const listeners = [buildOutboundListener(key.outbound), ...key.upstreams.map(buildUpstreamListener)];
    const clusters: EncodedResource[] = [];
    if (key.inbound) {
      listeners.push(buildInboundListener(key.inbound));
      clusters.push(buildInboundCluster(key.inbound.appPort));
    }
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

  changed({ envoy }: Changes): ChangeSet {
    return envoy;
  }

  setVersion(type: ResourceType): string {
    return this.#shared.setVersion(type, this.#ownVersions[type]);
  }
}

function versionOf(resources: readonly EncodedResource[]): SetVersion {
  const version = new SetVersion();
  for (const resource of resources) version.add(resource);
  return version;
}
