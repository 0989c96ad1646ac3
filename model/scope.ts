// Of which services a data plane is told. Equal scopes are equal texts, so that who has the same one shares what is
// made for it. Plain data and pure functions.
import type { Labels } from './endpoint.ts';
import { DEFAULT_NAMESPACE, serviceName, splitServiceName } from './names.ts';

/**
 * `all`: of every service. `on-demand`: of those that it asks for by name, one by one. A list: of those that fit one
 * of its hosts, `NAMESPACE/NAME` each, sorted (see hostPatterns()).
 */
export type Scope = 'all' | 'on-demand' | readonly string[];

/** Who is meant by a name now. */
export interface NameBook {
  clusterOf(name: string): { readonly service: string } | undefined;
  /** All names that a service claims. */
  namesOf(service: string): Iterable<string>;
}

/**
 * One host of a Sidecar's egress, or one name of `--calls`, as a Scope holds it. `./NAME` is of `namespace`, a name
 * without a slash is what a call for it reaches; a port or a source behind it (`orders:grpc`) does not count.
 */
export function normalHost(text: string, namespace: string): string {
  const slash = text.indexOf('/');
  const [space, host] = slash < 0 ? ['*', text] : [text.slice(0, slash), text.slice(slash + 1)];
  const name = host.replace(/[:@].*$/s, '');
  return `${space === '.' ? namespace : space}/${name}`.toLowerCase();
}

/** What is wrong with a host; undefined: nothing. */
export function hostProblem(text: string): string | undefined {
  const [, space, name] = /^(?:([^/]*)\/)?([^/]+)$/.exec(text) ?? [];
  if (name === undefined || space === '') return 'NAMESPACE/NAME, such as ./*, shop/orders or */*';
  if (space !== undefined && !/^([.*~]|[A-Za-z0-9._-]+)$/.test(space)) {
    return 'a namespace, "." for its own, "*" for any or "~" for none';
  }
  if (name.includes('*') && !/^\*(\.[^*]+)?$/.test(name))
    return '"*" stands for a whole name or its beginning';
  return undefined;
}

export const scopeOf = (hosts: Iterable<string>): readonly string[] => [...new Set(hosts)].sort();

/** The same scope, with more hosts. */
export const withHosts = (scope: Scope, hosts: readonly string[]): Scope =>
  typeof scope === 'string' || hosts.length === 0 ? scope : scopeOf([...scope, ...hosts]);

export interface HostPatterns {
  includes(service: string): boolean;
  /** Services that may be included, some of which may not exist; undefined: look at all. */
  candidates(): Iterable<string> | undefined;
}

/**
 * Namespace and `*`: every service of that namespace. `NS/NAME`: the one of that name there, whichever of its names it
 * is. `*` and a name: the one that a call for that name reaches. `NS/*.SUFFIX`: those one of whose names ends so.
 * `~` and anything: none.
 */
export function hostPatterns(hosts: readonly string[], book: NameBook): HostPatterns {
  return new Patterns(hosts, book);
}

class Patterns implements HostPatterns {
  readonly #book: NameBook;
  readonly #services = new Set<string>();
  /** Namespaces, `*` for any, of which all services are meant. */
  readonly #whole = new Set<string>();
  /** Names, and of which namespaces. */
  readonly #names = new Map<string, Set<string>>();
  readonly #suffixes: { readonly space: string; readonly suffix: string }[] = [];

  constructor(hosts: readonly string[], book: NameBook) {
    this.#book = book;
    for (const host of hosts) {
      const slash = host.indexOf('/');
      this.#add(host.slice(0, slash), host.slice(slash + 1));
    }
  }

  #add(space: string, name: string): void {
    if (space === '~') return;
    if (name === '*') this.#whole.add(space);
    else if (name.startsWith('*.')) this.#suffixes.push({ space, suffix: name.slice(1) });
    else {
      const spaces = this.#names.get(name) ?? new Set();
      this.#names.set(name, spaces.add(space));
      if (space !== '*') this.#services.add(serviceName(name, space));
      else this.#services.add(name.includes('.') ? name : serviceName(name, DEFAULT_NAMESPACE));
    }
  }

  includes(service: string): boolean {
    if (this.#services.has(service) || this.#whole.has('*')) return true;
    const { namespace } = splitServiceName(service);
    if (this.#whole.has(namespace)) return true;
    const fits = (space: string) => space === '*' || space === namespace;
    for (const name of this.#book.namesOf(service)) {
      const spaces = this.#names.get(name);
      // Whoever claims a name is not meant, but who has it.
      const isMeant = spaces !== undefined && [...spaces].some(fits);
      if (isMeant && this.#book.clusterOf(name)?.service === service) return true;
      if (this.#suffixes.some(({ space, suffix }) => fits(space) && name.endsWith(suffix))) return true;
    }
    return false;
  }

  candidates(): Iterable<string> | undefined {
    if (this.#whole.size + this.#suffixes.length > 0) return undefined;
    const owners = [...this.#names.keys()].flatMap((name) => this.#book.clusterOf(name)?.service ?? []);
    return new Set([...this.#services, ...owners]);
  }
}

/** What a Sidecar resource says. */
export interface SidecarScope {
  readonly namespace: string;
  /** Of the nodes that it is for; none: all of its namespace. */
  readonly labels: Labels;
  readonly hosts: Scope;
}

/** Where Istio keeps what counts for every namespace. */
export const ROOT_NAMESPACE = 'istio-system';

/**
 * That of a Sidecar in the node's namespace whose labels the node has, the one with most of them; else that of one
 * without labels there; else that of one without labels in the root namespace; else `all`.
 */
export function scopeFor(
  sidecars: readonly SidecarScope[],
  { service, labels }: { readonly service: string; readonly labels: Labels },
): Scope {
  const { namespace } = splitServiceName(service);
  const rank = (sidecar: SidecarScope): number => {
    const wanted = Object.entries(sidecar.labels);
    if (sidecar.namespace === namespace) {
      return wanted.every(([name, value]) => labels[name] === value) ? 1 + wanted.length : -1;
    }
    return sidecar.namespace === ROOT_NAMESPACE && wanted.length === 0 ? 0 : -1;
  };
  let best: { readonly rank: number; readonly hosts: Scope } = { rank: -1, hosts: 'all' };
  for (const sidecar of sidecars) {
    const own = rank(sidecar);
    if (own > best.rank) best = { rank: own, hosts: sidecar.hosts };
  }
  return best.hosts;
}
