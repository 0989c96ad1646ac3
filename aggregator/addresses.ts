// Rule 4: who claims which address. One network, address and port under two services is an identity conflict.
// An index over all shards, written as they change: one change costs what it touches. Decides nothing: what
// follows from a conflict is in the service's rules.
import { endpointKey } from '../model/endpoint.ts';
import type { EndpointGroup } from '../model/endpoint.ts';

interface Claim {
  readonly source: string;
  readonly service: string;
}

/** By endpointKey(): the other services that claim it, sorted. */
export type Conflicts = ReadonlyMap<string, readonly string[]>;

const NONE: Conflicts = new Map();
const NOTHING: ReadonlySet<string> = new Set();

export class AddressIndex {
  /** Most addresses have one claim: that one has no list around it. */
  readonly #claims = new Map<string, Claim | readonly Claim[]>();
  readonly #conflicts = new Map<string, Map<string, readonly string[]>>();
  readonly #knowsOwners: (source: string) => boolean;

  /**
   * @param knowsOwners true for a source that knows whose an address is, and lists it under several services on
   * purpose (two Kubernetes Services over one set of pods): what it says alone is no conflict.
   */
  constructor(knowsOwners: (source: string) => boolean) {
    this.#knowsOwners = knowsOwners;
  }

  of(service: string): Conflicts {
    return this.#conflicts.get(service) ?? NONE;
  }

  /** A shard changed; undefined: it was not there, or is gone. Returns the services whose conflicts changed. */
  change(
    source: string,
    service: string,
    before: EndpointGroup | undefined,
    after: EndpointGroup | undefined,
  ): ReadonlySet<string> {
    if (before?.endpoints === after?.endpoints) return NOTHING;
    const [was, is] = [keysOf(before), keysOf(after)];
    const touched = new Set<string>();
    const claim = { source, service };
    for (const key of was) if (!is.has(key)) this.#write(key, without(this.#at(key), claim), touched);
    for (const key of is) if (!was.has(key)) this.#write(key, [...this.#at(key), claim], touched);
    return touched;
  }

  #at(key: string): readonly Claim[] {
    const found = this.#claims.get(key);
    return found === undefined ? [] : isList(found) ? found : [found];
  }

  #write(key: string, claims: readonly Claim[], touched: Set<string>): void {
    const before = this.#at(key);
    const [first] = claims;
    if (!first) this.#claims.delete(key);
    else this.#claims.set(key, claims.length === 1 ? first : claims);
    if (before.length < 2 && claims.length < 2) return;
    for (const service of new Set([...before, ...claims].map((claim) => claim.service))) {
      this.#set(service, key, this.#rivals(service, claims), touched);
    }
  }

  #set(service: string, key: string, rivals: readonly string[], touched: Set<string>): void {
    const own = this.#conflicts.get(service);
    if ((own?.get(key) ?? []).join() === rivals.join()) return;
    // Slices hold the map: it is copied, once per change.
    const next = touched.has(service) && own ? own : new Map(own);
    touched.add(service);
    if (rivals.length === 0) next.delete(key);
    else next.set(key, rivals);
    if (next.size === 0) this.#conflicts.delete(service);
    else this.#conflicts.set(service, next);
  }

  #rivals(service: string, claims: readonly Claim[]): readonly string[] {
    const own = claims.filter((claim) => claim.service === service);
    const rivals = claims.filter(
      (other) =>
        other.service !== service &&
        own.some((claim) => claim.source !== other.source || !this.#knowsOwners(claim.source)),
    );
    return [...new Set(rivals.map((rival) => rival.service))].sort();
  }
}

const keysOf = (group: EndpointGroup | undefined): ReadonlySet<string> =>
  new Set(group?.endpoints.map(endpointKey));

const isList = (found: Claim | readonly Claim[]): found is readonly Claim[] => Array.isArray(found);

const without = (claims: readonly Claim[], { source, service }: Claim): readonly Claim[] =>
  claims.filter((claim) => claim.source !== source || claim.service !== service);
