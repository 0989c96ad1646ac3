// What those see who are told of some services only: the same resources as everybody's, those of their services,
// and an outbound route configuration of their own, put together from the same parts. A change of any other
// service costs a look at its name.
import { hostPatterns } from '../model/scope.ts';
import type { HostPatterns } from '../model/scope.ts';
import type { ChangeSet, Changes, ResourceSet } from './dialect.ts';
import type { EncodedResource } from './resource.ts';
import { ResourceTable } from './resource-table.ts';
import type { Catalogue } from './resources/catalogue.ts';
import { RouteTable } from './resources/route-table.ts';
import type { SetVersion } from './set-version.ts';
import type { ResourceType } from './types.ts';

export class ScopedResources implements ResourceSet {
  readonly #catalogue: Catalogue;
  readonly #hosts: HostPatterns;
  readonly #table = new ResourceTable();
  readonly #routes = new RouteTable();
  readonly #members = new Set<string>();
  #last: ChangeSet = new Map();

  /** @param hosts of a Scope. */
  constructor(catalogue: Catalogue, hosts: readonly string[]) {
    this.#catalogue = catalogue;
    this.#hosts = hostPatterns(hosts, catalogue);
    for (const service of this.#hosts.candidates() ?? catalogue.services()) {
      this.#look(service);
      this.#route(service);
    }
    this.#table.set(this.#routes.resource());
    this.#table.takeChanges();
  }

  get(type: ResourceType, name: string): EncodedResource | undefined {
    return this.#table.get(type, name);
  }

  names(type: ResourceType): Iterable<string> {
    return this.#table.names(type);
  }

  setVersion(type: ResourceType, own?: SetVersion): string {
    return this.#table.setVersion(type, own);
  }

  /** Of the last update(), which every change leads to once. */
  changed(): ChangeSet {
    return this.#last;
  }

  update({ envoy, services, routed }: Changes): void {
    for (const service of services) this.#look(service);
    for (const type of ['cds', 'eds'] as const) {
      for (const name of envoy.get(type) ?? []) {
        if (!this.#catalogue.get(type, name)) this.#table.unset(type, name);
      }
    }
    let rerouted = false;
    for (const service of routed) if (this.#route(service)) rerouted = true;
    if (rerouted) this.#table.set(this.#routes.resource());
    this.#last = this.#table.takeChanges();
  }

  #look(service: string): void {
    const clusters = this.#catalogue.clustersIn(service);
    if (clusters.length === 0 || !this.#hosts.includes(service)) return;
    this.#members.add(service);
    for (const name of clusters) {
      for (const type of ['cds', 'eds'] as const) {
        const resource = this.#catalogue.get(type, name);
        if (resource) this.#table.set(resource);
      }
    }
  }

  /** Names may lead elsewhere now, and so make it another one that is meant. */
  #route(service: string): boolean {
    const clusters = this.#catalogue.clustersIn(service);
    const isMeant = clusters.length > 0 && this.#hosts.includes(service);
    if (isMeant && !this.#members.has(service)) this.#look(service);
    if (!isMeant && this.#members.delete(service)) {
      for (const name of clusters) for (const type of ['cds', 'eds'] as const) this.#table.unset(type, name);
    }
    return this.#routes.adopt(service, isMeant ? this.#catalogue.routePart(service) : undefined);
  }
}
