// What one node group sees: the shared catalogue and the group's own listeners and inbound cluster. Two
// nodes with equal answers to GroupKey see the same bytes.
import { buildInboundCluster } from './resources/clusters.ts';
import { buildInboundListener, buildOutboundListener } from './resources/listeners.ts';
import type { ListenAt } from './resources/listeners.ts';
import type { Catalogue } from './resources/catalogue.ts';
import type { EncodedResource } from './resource.ts';
import { SetVersion } from './set-version.ts';
import type { ResourceType } from './types.ts';

/** Everything about a node that its resources depend on. */
export interface GroupKey {
  readonly outbound: ListenAt;
  /** undefined: the node takes no inbound traffic through us. */
  readonly inbound: (ListenAt & { readonly appPort: number }) | undefined;
}

export interface View {
  get(type: ResourceType, name: string): EncodedResource | undefined;
  names(type: ResourceType): Iterable<string>;
  /** Equal for equal resources of a type on every replica. Constant time. */
  setVersion(type: ResourceType): string;
}

export class GroupView implements View {
  readonly #shared: Catalogue;
  readonly #own: Readonly<Partial<Record<ResourceType, ReadonlyMap<string, EncodedResource>>>>;
  readonly #ownVersions: Readonly<Partial<Record<ResourceType, SetVersion>>>;

  constructor(shared: Catalogue, key: GroupKey) {
    this.#shared = shared;
    const listeners = [buildOutboundListener(key.outbound)];
    const clusters: EncodedResource[] = [];
    if (key.inbound) {
      listeners.push(buildInboundListener(key.inbound, key.inbound.appPort));
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

  setVersion(type: ResourceType): string {
    return this.#shared.setVersion(type, this.#ownVersions[type]);
  }
}

function versionOf(resources: readonly EncodedResource[]): SetVersion {
  const version = new SetVersion();
  for (const resource of resources) version.add(resource);
  return version;
}
