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
  readonly cluster: string;
  readonly rank: number;
}

/** Names that can stand in a Host header; anything else a registry may call a service is left out. */
const HOST_NAME = /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/;

export class Authorities {
  /** Per name, every claim by service. Domains and header values share one table: both are names. */
  readonly #claims = new Map<string, Map<string, Claim>>();
  readonly #byService = new Map<string, ReadonlyMap<string, Claim>>();

  /** Replaces the claims of a service (undefined: it is gone); returns all services whose share changed. */
  update(service: string, merged: MergedService | undefined): ReadonlySet<string> {
    const before = this.#byService.get(service) ?? new Map<string, Claim>();
    const after = merged ? claimsOf(merged) : new Map<string, Claim>();
    const touched = new Set<string>();
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      const [was, is] = [before.get(name), after.get(name)];
      if (was?.cluster === is?.cluster && was?.rank === is?.rank) continue;
      const old = this.#owner(name);
      this.#set(name, service, is);
      const now = this.#owner(name);
      for (const other of [old, now]) {
        // An owner that stays is touched only when its own claim moved to another cluster.
        if (other !== undefined && (old !== now || other === service)) touched.add(other);
      }
    }
    if (merged) this.#byService.set(service, after);
    else this.#byService.delete(service);
    return touched;
  }

  /** One entry per cluster of the service that owns a name, domains and headers sorted. */
  of(service: string): ClusterAuthorities[] {
    const clusters = new Map<string, { domains: string[]; headers: string[] }>();
    for (const [name, claim] of this.#byService.get(service) ?? []) {
      if (this.#owner(name) !== service) continue;
      const entry = clusters.get(claim.cluster) ?? { domains: [], headers: [] };
      clusters.set(claim.cluster, entry);
      if (isDomain(name)) entry.domains.push(name);
      if (isHeader(name, claim.cluster)) entry.headers.push(name);
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
    const service = this.#owner(name);
    const claim = service === undefined ? undefined : this.#claims.get(name)?.get(service);
    return service !== undefined && claim ? { service, cluster: claim.cluster } : undefined;
  }

  /** All names that a service claims, whether it owns them or not. */
  namesOf(service: string): Iterable<string> {
    return this.#byService.get(service)?.keys() ?? [];
  }

  #set(name: string, service: string, claim: Claim | undefined): void {
    const claims = this.#claims.get(name) ?? new Map<string, Claim>();
    if (claim) claims.set(service, claim);
    else claims.delete(service);
    if (claims.size === 0) this.#claims.delete(name);
    else this.#claims.set(name, claims);
  }

  #owner(name: string): string | undefined {
    let best: string | undefined;
    let bestRank = 0;
    for (const [service, { rank }] of this.#claims.get(name) ?? []) {
      if (best === undefined || rank < bestRank || (rank === bestRank && service < best)) {
        best = service;
        bestRank = rank;
      }
    }
    return best;
  }
}

const CANONICAL = 0;
const ALIAS = 1;

/** `host` and `host:N` lead to the primary cluster, `host:M` to the port with number M. */
function claimsOf(service: MergedService): Map<string, Claim> {
  const claims = new Map<string, Claim>();
  const claim = (name: string, value: Claim) => {
    if (!claims.has(name)) claims.set(name, value);
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
  if (service.ports.length === 0) return claims;
  // A header value is compared as it stands: an alias in capitals (ORDERS) is one more value, but no domain.
  for (const alias of service.aliases) {
    const host = alias.toLowerCase();
    if (alias !== host && HOST_NAME.test(host)) claim(alias, { cluster: service.service, rank: ALIAS });
  }
  return claims;
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
