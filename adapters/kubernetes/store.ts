// What the API server has said so far, indexed by service: which slices belong to it, and which services a
// change touches. Plain data; it neither asks nor tells anybody.
import { isDeepStrictEqual } from 'node:util';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { groupFromKubernetes, isExternalName, nameOfService, serviceOfSlice } from '../kube-map.ts';
import type { KubeEndpointSlice, KubeMapOptions, KubeService } from '../kube-map.ts';

interface Entry {
  service: KubeService | undefined;
  /** By slice key. */
  readonly slices: Map<string, KubeEndpointSlice>;
}

export class KubeStore {
  readonly #options: KubeMapOptions;
  readonly #include: (service: string) => boolean;
  /** By canonical service name. */
  readonly #entries = new Map<string, Entry>();
  /** Slice key → the service it belonged to when it was last seen. */
  readonly #owners = new Map<string, string>();

  /** @param include tells by canonical name; the others are not kept. */
  constructor(options: KubeMapOptions, include: (service: string) => boolean) {
    this.#options = options;
    this.#include = include;
  }

  /** All Services of a namespace (`*`: of the cluster). */
  replaceServices(namespace: string, services: readonly KubeService[]): void {
    for (const [name, entry] of this.#entries) {
      if (entry.service && isIn(entry.service, namespace)) this.#setService(name, undefined);
    }
    for (const service of services) this.putService(service);
  }

  replaceSlices(namespace: string, slices: readonly KubeEndpointSlice[]): void {
    for (const entry of this.#entries.values()) {
      for (const slice of entry.slices.values()) if (isIn(slice, namespace)) this.deleteSlice(slice);
    }
    for (const slice of slices) this.putSlice(slice);
  }

  /** Each of these returns the names of the services that are no longer the same. */
  putService(service: KubeService): string[] {
    const name = nameOfService(service);
    if (name === undefined || !this.#include(name)) return [];
    if (isDeepStrictEqual(this.#entries.get(name)?.service, service)) return [];
    this.#setService(name, service);
    return [name];
  }

  deleteService(service: KubeService): string[] {
    const name = nameOfService(service);
    if (name === undefined || this.#entries.get(name)?.service === undefined) return [];
    this.#setService(name, undefined);
    return [name];
  }

  putSlice(slice: KubeEndpointSlice): string[] {
    const key = keyOf(slice);
    const owner = serviceOfSlice(slice);
    const before = this.#owners.get(key);
    const touched = before !== undefined && before !== owner ? this.deleteSlice(slice) : [];
    if (owner === undefined || !this.#include(owner)) return touched;
    const entry = this.#entryOf(owner);
    if (isDeepStrictEqual(entry.slices.get(key), slice)) return touched;
    entry.slices.set(key, slice);
    this.#owners.set(key, owner);
    return [...touched, owner];
  }

  deleteSlice(slice: KubeEndpointSlice): string[] {
    const key = keyOf(slice);
    // Its label may have changed since: what counts is where it was put.
    const owner = this.#owners.get(key);
    if (owner === undefined) return [];
    this.#owners.delete(key);
    this.#entries.get(owner)?.slices.delete(key);
    this.#dropIfEmpty(owner);
    return [owner];
  }

  /** undefined when the source does not list it: neither Service nor slices, or a mere DNS alias. */
  group(name: string): EndpointGroup | undefined {
    const entry = this.#entries.get(name);
    if (!entry || (entry.service && isExternalName(entry.service))) return undefined;
    return groupFromKubernetes(entry.service, [...entry.slices.values()], this.#options);
  }

  groups(): EndpointGroup[] {
    const names = [...this.#entries.keys()].sort();
    return names.map((name) => this.group(name)).filter((group) => group !== undefined);
  }

  #entryOf(name: string): Entry {
    let entry = this.#entries.get(name);
    if (!entry) {
      entry = { service: undefined, slices: new Map() };
      this.#entries.set(name, entry);
    }
    return entry;
  }

  #setService(name: string, service: KubeService | undefined): void {
    this.#entryOf(name).service = service;
    this.#dropIfEmpty(name);
  }

  #dropIfEmpty(name: string): void {
    const entry = this.#entries.get(name);
    if (entry && entry.service === undefined && entry.slices.size === 0) this.#entries.delete(name);
  }
}

type Placed = Pick<KubeService, 'metadata'>;

function isIn(object: Placed, namespace: string): boolean {
  return namespace === '*' || object.metadata?.namespace === namespace;
}

function keyOf(slice: Placed): string {
  return `${slice.metadata?.namespace}/${slice.metadata?.name}`;
}
