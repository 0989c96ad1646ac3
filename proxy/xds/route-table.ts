// The lookup that every request runs: authority → virtual host → route, in constant time for the number of
// virtual hosts. Knows nothing of protobuf. Never allocates, save for a path with a query and for the few
// wildcard lengths in use.
import type { RequestKey } from '../keys.ts';
import type { Route } from '../route.ts';
import type { RouteTable } from '../tables.ts';

/** What a virtual host does with a request; undefined: nothing matches. */
export type Resolver = (request: RequestKey) => Route | undefined;

export interface VirtualHost {
  readonly name: string;
  /** `a.b`, `a.b:80`, `*.b`, `a.*` or `*`; any case. */
  readonly domains: readonly string[];
  readonly resolve: Resolver;
}

export interface RouteTableOptions {
  /** RouteConfiguration.ignore_port_in_host_matching. */
  readonly ignorePort: boolean;
}

/** Text → virtual host, tried from the longest text to the shortest. */
type ByLength = readonly (readonly [length: number, hosts: ReadonlyMap<string, VirtualHost>])[];

export const NO_ROUTES: RouteTable = { lookup: () => undefined };

/**
 * Search order of the xDS API (VirtualHost.domains): exact, longest suffix (`*.b`), longest prefix
 * (`a.*`), then `*`. A wildcard stands for at least one character. The virtual host that is found
 * decides alone: there is no second try in another one. Domains must be unique without regard to case.
 */
export function buildRouteTable(hosts: readonly VirtualHost[], options: RouteTableOptions): RouteTable {
  const exact = new Map<string, VirtualHost>();
  const suffixes = new Map<string, VirtualHost>();
  const prefixes = new Map<string, VirtualHost>();
  let any: VirtualHost | undefined;
  for (const host of hosts) {
    for (const domain of host.domains.map((d) => d.toLowerCase())) {
      if (domain === '*') any = host;
      else if (domain.startsWith('*')) suffixes.set(domain.slice(1), host);
      else if (domain.endsWith('*')) prefixes.set(domain.slice(0, -1), host);
      else exact.set(domain, host);
    }
  }
  const longSuffixes = byLength(suffixes);
  const longPrefixes = byLength(prefixes);
  const find = (authority: string): VirtualHost | undefined =>
    exact.get(authority) ??
    findLongest(longSuffixes, authority, (length) => authority.slice(-length)) ??
    findLongest(longPrefixes, authority, (length) => authority.slice(0, length)) ??
    any;
  return {
    lookup(request) {
      const authority = options.ignorePort ? withoutPort(request.authority) : request.authority;
      return find(authority)?.resolve(request);
    },
  };
}

function byLength(hosts: ReadonlyMap<string, VirtualHost>): ByLength {
  const lengths = new Map<number, Map<string, VirtualHost>>();
  for (const [text, host] of hosts) {
    const same = lengths.get(text.length) ?? new Map<string, VirtualHost>();
    lengths.set(text.length, same.set(text, host));
  }
  return [...lengths].sort(([a], [b]) => b - a);
}

function findLongest(
  candidates: ByLength,
  authority: string,
  part: (length: number) => string,
): VirtualHost | undefined {
  for (const [length, hosts] of candidates) {
    const host = length < authority.length ? hosts.get(part(length)) : undefined;
    if (host) return host;
  }
  return undefined;
}

/** `a:80` → `a`, `[::1]:80` → `[::1]`; anything else unchanged. */
function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(':');
  if (colon < 0 || authority.indexOf(':') !== colon) {
    if (!authority.startsWith('[') || authority[colon - 1] !== ']') return authority;
  }
  return /^\d+$/.test(authority.slice(colon + 1)) ? authority.slice(0, colon) : authority;
}
