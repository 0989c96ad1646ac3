// Rule 4: who claims which address. One network, address and port under two services is an identity conflict.
// An index over all shards, written as they change: one change costs what it touches. Decides nothing: what
// follows from a conflict is in the service's rules.
import { endpointKey } from '../model/endpoint.ts';
import type { Endpoint, EndpointGroup } from '../model/endpoint.ts';

interface Claim {
  readonly source: string;
  readonly service: string;
}

/** By endpointKey(): the other services that claim it, sorted. */
export type Conflicts = ReadonlyMap<string, readonly string[]>;

/**
 * An address that more services than this claim is a gateway or a NAT: its claimants are told that they are
 * many, and no longer by name, so that one more of them is no news to all the others.
 */
const NAMED = 16;
const manyOthers = (named: number): readonly string[] => [`more than ${named} services`];

const NONE: Conflicts = new Map();
const NOTHING: ReadonlySet<string> = new Set();

export class AddressIndex {
  /** Most addresses have one claim: that one has no list around it. */
  readonly #claims = new Map<string, Claim | readonly Claim[]>();
  readonly #conflicts = new Map<string, Map<string, readonly string[]>>();
  readonly #knowsOwners: (source: string) => boolean;
  readonly #named: number;
  readonly #many: readonly string[];

  /**
   * @param knowsOwners true for a source that knows whose an address is, and lists it under several services on
   * purpose (two Kubernetes Services over one set of pods): what it says alone is no conflict.
   * @param named services at one address that are told of each other by name.
   */
  constructor(knowsOwners: (source: string) => boolean, named = NAMED) {
    this.#knowsOwners = knowsOwners;
    this.#named = named;
    this.#many = manyOthers(named);
  }

  /** That have a conflict. */
  services(): Iterable<string> {
    return this.#conflicts.keys();
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
    if (before && after && sameAddresses(before.endpoints, after.endpoints)) return NOTHING;
    const [was, is] = [keysOf(before), keysOf(after)];
    const touched = new Set<string>();
    const claim = { source, service };
    for (const key of was) if (!is.has(key)) this.#remove(key, claim, touched);
    for (const key of is) if (!was.has(key)) this.#add(key, claim, touched);
    return touched;
  }

  #add(key: string, claim: Claim, touched: Set<string>): void {
    if (this.#claims.has(key)) this.#write(key, [...this.#at(key), claim], claim.service, touched);
    // Nearly all addresses have one claim: nobody else is concerned.
    else this.#claims.set(key, claim);
  }

  #remove(key: string, claim: Claim, touched: Set<string>): void {
    const found = this.#claims.get(key);
    if (found !== undefined && isList(found)) {
      this.#write(key, without(found, claim), claim.service, touched);
    } else if (found?.source === claim.source && found.service === claim.service) {
      this.#claims.delete(key);
    }
  }

  #at(key: string): readonly Claim[] {
    const found = this.#claims.get(key);
    return found === undefined ? [] : isList(found) ? found : [found];
  }

  /** @param changed the service whose claim came or went. */
  #write(key: string, claims: readonly Claim[], changed: string, touched: Set<string>): void {
    const before = this.#at(key);
    const [first] = claims;
    if (!first) this.#claims.delete(key);
    else this.#claims.set(key, claims.length === 1 ? first : claims);
    if (before.length < 2 && claims.length < 2) return;
    const rivals = this.#rivalsAmong(claims);
    const isNoNews =
      this.#isMany(before) && this.#isMany(claims) && this.#isOwned(before) === this.#isOwned(claims);
    const concerned = isNoNews ? [changed] : [...before, ...claims].map((claim) => claim.service);
    for (const service of new Set(concerned)) this.#set(service, key, rivals(service), touched);
  }

  /** The rivals of each service at an address, by its claims. */
  #rivalsAmong(claims: readonly Claim[]): (service: string) => readonly string[] {
    if (!this.#isMany(claims)) return (service) => this.#rivals(service, claims);
    if (this.#isOwned(claims)) return () => [];
    return (service) => (claims.some((claim) => claim.service === service) ? this.#many : []);
  }

  #isMany(claims: readonly Claim[]): boolean {
    if (claims.length <= this.#named) return false;
    // Found among the first ones as a rule: the rest need not be looked at.
    const seen = new Set<string>();
    return claims.some(({ service }) => seen.add(service).size > this.#named);
  }

  /** All from one source that knows whose the address is. */
  #isOwned(claims: readonly Claim[]): boolean {
    const source = claims[0]?.source ?? '';
    return this.#knowsOwners(source) && claims.every((claim) => claim.source === source);
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

const NO_KEYS: ReadonlySet<string> = new Set();

const keysOf = (group: EndpointGroup | undefined): ReadonlySet<string> =>
  group ? new Set(group.endpoints.map(endpointKey)) : NO_KEYS;

/** In the same order: most changes are of something else. */
function sameAddresses(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  if (a === b) return true;
  return a.length === b.length && a.every((endpoint, index) => isAt(endpoint, b[index]));
}

const isAt = ({ address, port, network }: Endpoint, other: Endpoint | undefined): boolean =>
  address === other?.address && port === other.port && network === other.network;

const isList = (found: Claim | readonly Claim[]): found is readonly Claim[] => Array.isArray(found);

const without = (claims: readonly Claim[], { source, service }: Claim): readonly Claim[] =>
  claims.filter((claim) => claim.source !== source || claim.service !== service);
