// All resources of one dialect by type and name, the version of each type's set, and what has changed since
// somebody asked last. Each operation costs what it touches.
import type { ChangeSet, ResourceSet } from './dialect.ts';
import type { EncodedResource } from './resource.ts';
import { SetVersion } from './set-version.ts';
import type { ResourceType } from './types.ts';

export class ResourceTable implements ResourceSet {
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
  #changes = new Map<ResourceType, Set<string>>();

  get(type: ResourceType, name: string): EncodedResource | undefined {
    return this.#resources[type].get(name);
  }

  names(type: ResourceType): Iterable<string> {
    return this.#resources[type].keys();
  }

  /** Of the union with a disjoint set. */
  setVersion(type: ResourceType, own?: SetVersion): string {
    return this.#versions[type].with(own);
  }

  /** What is equal to what was there stays the same object, and is no change. */
  set(resource: EncodedResource): void {
    const all = this.#resources[resource.type];
    const before = all.get(resource.name);
    if (before?.version === resource.version) return;
    if (before) this.#versions[resource.type].remove(before);
    this.#versions[resource.type].add(resource);
    all.set(resource.name, resource);
    this.#mark(resource.type, resource.name);
  }

  unset(type: ResourceType, name: string): void {
    const before = this.#resources[type].get(name);
    if (!before) return;
    this.#versions[type].remove(before);
    this.#resources[type].delete(name);
    this.#mark(type, name);
  }

  /** What changed since the last call. */
  takeChanges(): ChangeSet {
    const changes = this.#changes;
    if (changes.size > 0) this.#changes = new Map();
    return changes;
  }

  #mark(type: ResourceType, name: string): void {
    const names = this.#changes.get(type) ?? new Set();
    names.add(name);
    this.#changes.set(type, names);
  }
}
