// What the API server has said so far, indexed by service: which slices belong to it, and which services a
// change touches. Plain data; it neither asks nor tells anybody.
import { isDeepStrictEqual } from 'node:util';
import type { Turns } from '../../lib/turns.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { splitServiceName } from '../../model/names.ts';
import { groupFromKubernetes, isLeftOut, nameOfService, podNameOf, serviceOfSlice } from '../kube-map.ts';
import type { KubeEndpointSlice, KubeMapOptions, KubeService } from '../kube-map.ts';
import { podKey } from './decor.ts';

interface Entry {
  service: KubeService | undefined;
  /** The ServiceImport of that name. */
  imported: KubeService | undefined;
  /** By slice key. */
  readonly slices: Map<string, KubeEndpointSlice>;
}

export interface KubeStoreOptions extends KubeMapOptions {
  /** Slices of the other family are not kept. Default `any`. */
  readonly ipFamily?: 'any' | 'ipv4' | 'ipv6';
}

export class KubeStore {
  readonly #options: KubeStoreOptions;
  readonly #include: (service: string) => boolean;
  /** Slice keys by pod key; usually one. */
  readonly #podUsers = new Map<string, readonly string[]>();
  /** undefined: all. Objects of the others are kept, as a namespace's labels may change. */
  #namespaces: Set<string> | undefined;
  /** By canonical service name. */
  readonly #entries = new Map<string, Entry>();
  /** Services that were deleted while they were watched, until they are put again. */
  readonly #deleted = new Set<string>();
  /** Slice key → the service it belonged to when it was last seen. */
  readonly #owners = new Map<string, string>();

  /** @param include tells by canonical name; the others are not kept. */
  constructor(options: KubeStoreOptions, include: (service: string) => boolean) {
    this.#options = options;
    this.#include = include;
  }

  /** All Services of a namespace (`*`: of the cluster). */
  async replaceServices(namespace: string, services: readonly KubeService[], turns: Turns): Promise<void> {
    for (const service of services) {
      this.putService(service);
      if (turns.due) await turns.next();
    }
    const listed = new Set(services.map(nameOfService));
    for (const [name, entry] of this.#entries) {
      if (entry.service && isIn(entry.service, namespace) && !listed.has(name)) {
        this.#setService(name, undefined);
      }
    }
  }

  /** @param imported whether it is those of ServiceImports; the others stay. Returns the services concerned. */
  async replaceSlices(
    namespace: string,
    slices: readonly KubeEndpointSlice[],
    turns: Turns,
    imported = false,
  ): Promise<string[]> {
    const touched: string[] = [];
    for (const slice of slices) {
      touched.push(...this.putSlice(slice));
      if (turns.due) await turns.next();
    }
    const listed = new Set(slices.map(keyOf));
    for (const entry of this.#entries.values()) {
      for (const [key, slice] of entry.slices) {
        const isOurs = isIn(slice, namespace) && (slice.imported ?? false) === imported;
        if (isOurs && !listed.has(key)) touched.push(...this.deleteSlice(slice));
      }
    }
    return touched;
  }

  /** The same of ServiceImports. */
  replaceImports(namespace: string, imports: readonly KubeService[]): string[] {
    const touched: string[] = [];
    for (const { imported } of this.#entries.values()) {
      if (imported && isIn(imported, namespace)) touched.push(...this.setImport(imported, undefined));
    }
    return [...touched, ...imports.flatMap((each) => this.setImport(each, each))];
  }

  /** @param now undefined: it is deleted. */
  setImport(named: KubeService, now: KubeService | undefined): string[] {
    const name = nameOfService(named);
    if (name === undefined || !this.#include(name)) return [];
    if (isDeepStrictEqual(this.#entries.get(name)?.imported, now)) return [];
    this.#entryOf(name).imported = now;
    this.#dropIfEmpty(name);
    return [name];
  }

  /** Each of these returns the names of the services that are no longer the same. */
  putService(service: KubeService): string[] {
    const name = nameOfService(service);
    if (name === undefined || !this.#include(name)) return [];
    if (isDeepStrictEqual(this.#entries.get(name)?.service, service)) return [];
    this.#setService(name, service);
    return [name];
  }

  /** Somebody deleted it, unlike a list that does not show it: its slices follow, and that is meant. */
  deleteService(service: KubeService): string[] {
    const name = nameOfService(service);
    if (name === undefined || this.#entries.get(name)?.service === undefined) return [];
    this.#setService(name, undefined);
    this.#deleted.add(name);
    return [name];
  }

  /** True while what leaves a service leaves because the service was deleted. `isLast`: nothing of it is left. */
  wasDeleted(service: string, isLast: boolean): boolean {
    return isLast ? this.#deleted.delete(service) : this.#deleted.has(service);
  }

  putSlice(slice: KubeEndpointSlice): string[] {
    const key = keyOf(slice);
    const owner = serviceOfSlice(slice);
    const before = this.#owners.get(key);
    const touched = before !== undefined && before !== owner ? this.deleteSlice(slice) : [];
    if (owner === undefined || !this.#include(owner) || !this.#wanted(slice)) return touched;
    const entry = this.#entryOf(owner);
    const known = entry.slices.get(key);
    if (isDeepStrictEqual(known, slice)) return touched;
    if (known) this.#forgetPods(key, known);
    entry.slices.set(key, slice);
    this.#owners.set(key, owner);
    // One list for all pods that only this slice has.
    const alone = [key];
    for (const pod of podsOf(slice)) {
      const others = this.#podUsers.get(pod);
      this.#podUsers.set(pod, others ? [...others, key] : alone);
    }
    return [...touched, owner];
  }

  deleteSlice(slice: KubeEndpointSlice): string[] {
    const key = keyOf(slice);
    // Its label may have changed since: what counts is where it was put.
    const owner = this.#owners.get(key);
    if (owner === undefined) return [];
    this.#owners.delete(key);
    const known = this.#entries.get(owner)?.slices;
    this.#forgetPods(key, known?.get(key) ?? slice);
    known?.delete(key);
    this.#dropIfEmpty(owner);
    return [owner];
  }

  /** undefined when the source does not list it: neither Service nor slices, or an alias without ports. */
  group(name: string): EndpointGroup | undefined {
    const entry = this.#entries.get(name);
    if (!entry || !this.#shows(name) || (entry.service && isLeftOut(entry.service, this.#options)))
      return undefined;
    const group = groupFromKubernetes(
      entry.service ?? entry.imported,
      [...entry.slices.values()],
      this.#options,
    );
    if (!entry.imported) return group;
    return { ...group, aliases: [...group.aliases, `${name}.svc.clusterset.local`].sort() };
  }

  /** Of all services, sorted; also of those that group() does not show. */
  names(): string[] {
    return [...this.#entries.keys()].sort();
  }

  groups(): EndpointGroup[] {
    return this.names().flatMap((name) => this.group(name) ?? []);
  }

  /** From now on only services of these namespaces are told. Returns those that come or go by it. */
  setNamespaces(namespaces: Iterable<string>): string[] {
    const before = new Map([...this.#entries.keys()].map((name) => [name, this.#shows(name)]));
    this.#namespaces = new Set(namespaces);
    return [...before].flatMap(([name, shown]) => (this.#shows(name) === shown ? [] : [name]));
  }

  listsPod(key: string): boolean {
    return this.#podUsers.has(key);
  }

  /** The services that list any of these pods. */
  servicesOfPods(keys: readonly string[]): string[] {
    const slices = keys.flatMap((key) => this.#podUsers.get(key) ?? []);
    return [...new Set(slices.flatMap((slice) => this.#owners.get(slice) ?? []))];
  }

  /** The services that have an endpoint on any of these nodes. Looks at everything: nodes rarely change. */
  servicesOnNodes(names: readonly string[]): string[] {
    if (names.length === 0) return [];
    const nodes = new Set(names);
    const isOn = (slice: KubeEndpointSlice) => slice.endpoints?.some((e) => nodes.has(e.nodeName ?? ''));
    return [...this.#entries].flatMap(([name, { slices }]) =>
      [...slices.values()].some(isOn) ? [name] : [],
    );
  }

  #shows(service: string): boolean {
    return this.#namespaces?.has(splitServiceName(service).namespace) ?? true;
  }

  #wanted({ addressType }: KubeEndpointSlice): boolean {
    const { ipFamily = 'any' } = this.#options;
    return ipFamily === 'any' || addressType?.toLowerCase() === ipFamily;
  }

  #forgetPods(key: string, slice: KubeEndpointSlice): void {
    for (const pod of podsOf(slice)) {
      const left = this.#podUsers.get(pod)?.filter((user) => user !== key) ?? [];
      if (left.length === 0) this.#podUsers.delete(pod);
      else this.#podUsers.set(pod, left);
    }
  }

  #entryOf(name: string): Entry {
    let entry = this.#entries.get(name);
    if (!entry) {
      entry = { service: undefined, imported: undefined, slices: new Map() };
      this.#entries.set(name, entry);
    }
    return entry;
  }

  #setService(name: string, service: KubeService | undefined): void {
    this.#deleted.delete(name);
    this.#entryOf(name).service = service;
    this.#dropIfEmpty(name);
  }

  #dropIfEmpty(name: string): void {
    const entry = this.#entries.get(name);
    if (entry && !entry.service && !entry.imported && entry.slices.size === 0) this.#entries.delete(name);
  }
}

type Placed = Pick<KubeService, 'metadata'>;

function isIn(object: Placed, namespace: string): boolean {
  return namespace === '*' || object.metadata?.namespace === namespace;
}

function keyOf(slice: KubeEndpointSlice): string {
  return `${slice.metadata?.namespace}/${slice.metadata?.name}${slice.imported ? ' (imported)' : ''}`;
}

/** Keys of the pods that a slice lists. */
function podsOf(slice: KubeEndpointSlice): Set<string> {
  const namespace = slice.metadata?.namespace ?? '';
  const names = (slice.endpoints ?? []).flatMap((endpoint) => podNameOf(endpoint) ?? []);
  return new Set(names.map((name) => podKey(namespace, name)));
}
