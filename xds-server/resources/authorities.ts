// Who owns which authority. Envoy refuses a whole route configuration in which a domain stands twice, so
// each domain has one owner: a service's canonical name beats an alias, then the smaller service name wins.
// Says which services must be built again when a claim comes or goes.
import { DEFAULT_NAMESPACE, clusterName, splitServiceName } from '../../model/names.ts';
import type { MergedService } from '../../model/merge/types.ts';
import { clustersOf } from './cluster-names.ts';

/** Authorities and header values that lead to one cluster. */
export interface ClusterAuthorities {
  readonly cluster: string;
  readonly domains: readonly string[];
  readonly headers: readonly string[];
}

interface Claim {
  readonly name: string;
  readonly service: string;
  readonly cluster: string;
  readonly rank: number;
}

/** Names that can stand in a Host header; anything else a registry may call a service is left out. */
const HOST_NAME = /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/;

const NOBODY: ReadonlySet<string> = new Set();
const NO_CLAIMS: readonly Claim[] = [];

export class Authorities {
  /**
   * Per name, every claim. Domains and header values share one table: both are names. Most names have one claim:
   * that one has no list around it.
   */
  readonly #claims = new Map<string, Claim | readonly Claim[]>();
  readonly #byService = new Map<string, readonly Claim[]>();

  /** Replaces the claims of a service (undefined: it is gone); returns all services whose share changed. */
  update(service: string, merged: MergedService | undefined): ReadonlySet<string> {
    const before = this.#byService.get(service) ?? NO_CLAIMS;
    const after = merged ? claimsOf(merged) : NO_CLAIMS;
    if (merged && sameClaims(before, after) && this.#byService.has(service)) return NOBODY;
    const touched = new Set<string>();
    const [was, is] = [byName(before), byName(after)];
    for (const name of new Set([...was.keys(), ...is.keys()])) {
      this.#replace(name, was.get(name), is.get(name), touched);
    }
    if (merged) this.#byService.set(service, after);
    else this.#byService.delete(service);
    return touched;
  }

  /** One entry per cluster of the service that owns a name, domains and headers sorted. */
  of(service: string): ClusterAuthorities[] {
    const clusters = new Map<string, { domains: string[]; headers: string[] }>();
    for (const { name, cluster } of this.#byService.get(service) ?? NO_CLAIMS) {
      if (this.#owner(name)?.service !== service) continue;
      const entry = clusters.get(cluster) ?? { domains: [], headers: [] };
      clusters.set(cluster, entry);
      if (isDomain(name)) entry.domains.push(name);
      if (isHeader(name, cluster)) entry.headers.push(name);
    }
    return [...clusters]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([cluster, { domains, headers }]) => ({
        cluster,
        domains: domains.sort(),
        headers: headers.sort(),
      }));
  }

  /** Where a name leads. */
  clusterOf(name: string): { readonly service: string; readonly cluster: string } | undefined {
    return this.#owner(name);
  }

  /** All names that a service claims, whether it owns them or not. */
  namesOf(service: string): Iterable<string> {
    return (this.#byService.get(service) ?? NO_CLAIMS).map(({ name }) => name);
  }

  /** One service's claim of a name. */
  #replace(name: string, was: Claim | undefined, is: Claim | undefined, touched: Set<string>): void {
    if (was?.cluster === is?.cluster && was?.rank === is?.rank) return;
    const service = (is ?? was)?.service;
    const old = this.#owner(name)?.service;
    this.#put(name, [...this.#at(name).filter((claim) => claim.service !== service), ...(is ? [is] : [])]);
    const now = this.#owner(name)?.service;
    for (const other of [old, now]) {
      // An owner that stays is touched only when its own claim moved to another cluster.
      if (other !== undefined && (old !== now || other === service)) touched.add(other);
    }
  }

  #put(name: string, claims: readonly Claim[]): void {
    const [first] = claims;
    if (!first) this.#claims.delete(name);
    else this.#claims.set(name, claims.length === 1 ? first : claims);
  }

  #at(name: string): readonly Claim[] {
    const found = this.#claims.get(name);
    return found === undefined ? NO_CLAIMS : isList(found) ? found : [found];
  }

  #owner(name: string): Claim | undefined {
    const found = this.#claims.get(name);
    return found === undefined || !isList(found) ? found : found.reduce(better);
  }
}

const isList = (found: Claim | readonly Claim[]): found is readonly Claim[] => Array.isArray(found);

const better = (a: Claim, b: Claim): Claim =>
  b.rank < a.rank || (b.rank === a.rank && b.service < a.service) ? b : a;

const byName = (claims: readonly Claim[]): ReadonlyMap<string, Claim> =>
  new Map(claims.map((claim) => [claim.name, claim]));

const sameClaims = (a: readonly Claim[], b: readonly Claim[]): boolean =>
  a.length === b.length && a.every((claim, index) => sameClaim(claim, b[index]));

const sameClaim = (a: Claim, b: Claim | undefined): boolean =>
  a.name === b?.name && a.cluster === b.cluster && a.rank === b.rank;

const CANONICAL = 0;
const ALIAS = 1;

/** `host` and `host:N` lead to the primary cluster, `host:M` to the port with number M. */
function claimsOf(service: MergedService): readonly Claim[] {
  const claims = new Map<string, Claim>();
  const claim = (name: string, { cluster, rank }: Pick<Claim, 'cluster' | 'rank'>) => {
    if (!claims.has(name)) claims.set(name, { name, service: service.service, cluster, rank });
  };
  for (const [host, rank] of hostsOf(service)) {
    for (const port of service.ports) {
      const cluster = clusterName(service.service, port.name, service.primaryPort);
      if (port.name === service.primaryPort) claim(host, { cluster, rank });
      for (const number of port.numbers) claim(`${host}:${number}`, { cluster, rank });
    }
  }
  for (const port of service.ports) {
    const cluster = clusterName(service.service, port.name, service.primaryPort);
    if (port.name !== service.primaryPort) claim(cluster, { cluster, rank: CANONICAL });
  }
  for (const { name, source } of clustersOf(service)) {
    if (source === undefined) continue;
    claim(name, { cluster: name, rank: CANONICAL });
    const short = shortNameOf(service.service);
    if (short !== undefined) claim(name.replace(service.service, short), { cluster: name, rank: ALIAS });
  }
  if (service.ports.length === 0) return [...claims.values()];
  // A header value is compared as it stands: an alias in capitals (ORDERS) is one more value, but no domain.
  for (const alias of service.aliases) {
    const host = alias.toLowerCase();
    if (alias !== host && HOST_NAME.test(host)) claim(alias, { cluster: service.service, rank: ALIAS });
  }
  return [...claims.values()];
}

/** A service of the default namespace is called without it, too. */
function shortNameOf(service: string): string | undefined {
  const { name, namespace } = splitServiceName(service);
  return namespace === DEFAULT_NAMESPACE ? name : undefined;
}

function hostsOf(service: MergedService): Map<string, number> {
  const { name, namespace } = splitServiceName(service.service);
  const hosts = new Map([[service.service, CANONICAL]]);
  const aliases = namespace === DEFAULT_NAMESPACE ? [name, ...service.aliases] : service.aliases;
  for (const alias of aliases.map((a) => a.toLowerCase())) if (!hosts.has(alias)) hosts.set(alias, ALIAS);
  for (const host of hosts.keys()) if (!HOST_NAME.test(host)) hosts.delete(host);
  return hosts;
}

/**
 * `orders.default:grpc` names a cluster, not an authority: ports in a Host header are numbers. Domains match
 * without regard to case, so one with capitals would stand twice.
 */
const isDomain = (name: string): boolean => /^[^:@A-Z]+(:\d+)?$/.test(name);

/** A name with `@` cannot be an authority, where what is before it would be a user: it is a header value only. */
const isHeader = (name: string, cluster: string): boolean =>
  !name.includes(':') || name.includes('@') || name === cluster;
