// What one node group sees: the shared catalogue and the group's own listeners and inbound cluster. Two
// nodes with equal answers to GroupKey see the same bytes.
import { contentHash } from '../lib/hash.ts';
import { buildInboundCluster } from './build/clusters.ts';
import { buildInboundListener, buildOutboundListener } from './build/listeners.ts';
import type { ListenAt } from './build/listeners.ts';
import type { Catalogue } from './build/catalogue.ts';
import type { EncodedResource } from './resource.ts';
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
  /** Hash over names and versions of all resources of a type. */
  setVersion(type: ResourceType): string;
}

export class GroupView implements View {
  readonly #shared: Catalogue;
  readonly #own: Readonly<Partial<Record<ResourceType, ReadonlyMap<string, EncodedResource>>>>;
  readonly #versions = new Map<ResourceType, string>();

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
  }

  get(type: ResourceType, name: string): EncodedResource | undefined {
    return this.#own[type]?.get(name) ?? this.#shared.resources(type).get(name);
  }

  *names(type: ResourceType): Generator<string> {
    yield* this.#own[type]?.keys() ?? [];
    yield* this.#shared.resources(type).keys();
  }

  setVersion(type: ResourceType): string {
    let version = this.#versions.get(type);
    if (version === undefined) {
      version = hashOfSet([...this.names(type)].flatMap((name) => this.get(type, name) ?? []));
      this.#versions.set(type, version);
    }
    return version;
  }

  /** Forgets cached versions of the types that changed. */
  changed(types: Iterable<ResourceType>): void {
    for (const type of types) this.#versions.delete(type);
  }
}

/** The version of a set of resources, whatever the order they are given in. */
export function hashOfSet(resources: readonly Pick<EncodedResource, 'name' | 'version'>[]): string {
  return contentHash(
    resources
      .map((r) => `${r.name}=${r.version}`)
      .sort()
      .join('\n'),
  );
}
