// What the proxy holds: the last good resource of each name, compiled. A response is taken as a whole or not
// at all. Knows no stream, no timer; resources survive the stream they came from.
import { describeError } from '../../lib/errors.ts';
import { decode } from '../../proto/codec.ts';
import type { Cluster__Output } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ClusterLoadAssignment__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { Listener__Output } from '../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { RouteConfiguration__Output } from '../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import type { DeltaDiscoveryResponse__Output } from '../../proto/gen/types/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts';
import type { Resource__Output } from '../../proto/gen/types/envoy/service/discovery/v3/Resource.ts';
import type { Demand } from '../filters/on-demand.ts';
import type { Assignment, RouteTable } from '../tables.ts';
import { compileCluster } from './cluster.ts';
import type { CompiledCluster } from './cluster.ts';
import { compileAssignment } from './endpoints.ts';
import { compileListener } from './listener.ts';
import type { CompiledListener } from './listener.ts';
import { FieldRefusal, XDS_REFUSED } from './refusal.ts';
import { compileRoutes } from './routes.ts';
import { MESSAGE, TYPE_URL } from './types.ts';
import type { XdsType } from './types.ts';

export interface Held<T> {
  /** '' once the server said that the resource is gone although it is still used. */
  version: string;
  /** The message as it came, for dumps and to see that nothing changed. */
  readonly bytes: Buffer;
  readonly value: T;
}

export interface Compiled {
  readonly cds: CompiledCluster;
  readonly eds: Assignment;
  readonly lds: CompiledListener;
  readonly rds: RouteTable;
}

type Collections = { readonly [T in XdsType]: Map<string, Held<Compiled[T]>> };

type Compilers = {
  readonly [T in XdsType]: (bytes: Uint8Array, demand: Demand) => { name: string; value: Compiled[T] };
};

const COMPILERS: Compilers = {
  cds: (bytes) => {
    const value = compileCluster(decode<Cluster__Output>(MESSAGE.cds, bytes));
    return { name: value.name, value };
  },
  eds: (bytes) => {
    const message = decode<ClusterLoadAssignment__Output>(MESSAGE.eds, bytes);
    return { name: message.cluster_name ?? '', value: compileAssignment(message) };
  },
  lds: (bytes, demand) => {
    const value = compileListener(decode<Listener__Output>(MESSAGE.lds, bytes), demand);
    return { name: value.name, value };
  },
  rds: (bytes) => {
    const message = decode<RouteConfiguration__Output>(MESSAGE.rds, bytes);
    return { name: message.name ?? '', value: compileRoutes(message) };
  },
};

const perType = <T>(make: () => T): Readonly<Record<XdsType, T>> => ({
  cds: make(),
  eds: make(),
  lds: make(),
  rds: make(),
});

export class ResourceStore {
  readonly #held: Collections = { cds: new Map(), eds: new Map(), lds: new Map(), rds: new Map() };
  /** Names the server answered with "does not exist". */
  readonly #missing = perType(() => new Set<string>());
  /** Wildcard types that had an answer. */
  readonly #answered = new Set<XdsType>();
  readonly #demand: Demand;
  #wanted: Readonly<Record<XdsType, ReadonlySet<string>>> = perType(() => new Set<string>());

  /** @param demand how requests ask for clusters that are not there. */
  constructor(demand: Demand = () => false) {
    this.#demand = demand;
  }

  /** A cluster beside those that come unasked, for as long as this lives. False: it is wanted already. */
  want(cluster: string): boolean {
    const { cds } = this.#wanted;
    if (cds.has(cluster)) return false;
    this.#wanted = { ...this.#wanted, cds: new Set(cds).add(cluster) };
    return true;
  }

  held<T extends XdsType>(type: T): ReadonlyMap<string, Held<Compiled[T]>> {
    return this.#held[type];
  }

  isMissing(type: 'cds' | 'eds' | 'rds', name: string): boolean {
    return this.#missing[type].has(name);
  }

  /** Versions to claim on a new stream. */
  versions(type: XdsType): ReadonlyMap<string, string> {
    const versions = new Map<string, string>();
    for (const [name, { version }] of this.#held[type]) if (version !== '') versions.set(name, version);
    return versions;
  }

  /** Names to subscribe to, beside the wildcard where there is one; the same object until they change. */
  wanted(type: XdsType): ReadonlySet<string> {
    return this.#wanted[type];
  }

  /** True once clusters, listeners and everything they name have been answered. */
  get complete(): boolean {
    const answered = (type: 'eds' | 'rds') =>
      [...this.wanted(type)].every((name) => this.#held[type].has(name) || this.#missing[type].has(name));
    return this.#answered.has('cds') && this.#answered.has('lds') && answered('eds') && answered('rds');
  }

  /**
   * Takes a response as a whole.
   * @throws XDS_REFUSED naming every resource and field at fault; then nothing has changed.
   */
  accept(type: XdsType, response: DeltaDiscoveryResponse__Output): void {
    const resources = response.resources ?? [];
    const removed = response.removed_resources ?? [];
    const { changes, problems } = this.#compileAll(type, resources, removed);
    if (type === 'lds') problems.push(...addressClashes(this.#held.lds, changes as Changes<'lds'>, removed));
    if (problems.length > 0) throw XDS_REFUSED(problems);
    this.#apply(type, changes, removed);
  }

  #compileAll<T extends XdsType>(
    type: T,
    resources: readonly Resource__Output[],
    removed: readonly string[],
  ): { changes: Changes<T>; problems: string[] } {
    const changes: Changes<T> = new Map();
    const problems: string[] = [];
    const seen = new Set(removed);
    for (const resource of resources) {
      const name = resource.name ?? '';
      try {
        if (seen.has(name)) throw new FieldRefusal('name', 'appears twice in the response');
        seen.add(name);
        const held = this.#compileOne(type, name, resource);
        if (held) changes.set(name, held);
      } catch (thrown) {
        const why =
          thrown instanceof FieldRefusal ? thrown.message : `cannot be decoded (${describeError(thrown)})`;
        problems.push(`${MESSAGE[type]} "${name}": ${why}`);
      }
    }
    return { changes, problems };
  }

  /** undefined: a heartbeat (no body), or a name that nobody asked for. */
  #compileOne<T extends XdsType>(
    type: T,
    name: string,
    resource: Resource__Output,
  ): Held<Compiled[T]> | undefined {
    const any = resource.resource;
    if (!any) return undefined;
    if (any.type_url !== TYPE_URL[type]) {
      throw new FieldRefusal(
        'resource.type_url',
        `${any.type_url ?? 'missing'} in a response of ${TYPE_URL[type]}`,
      );
    }
    if (!isWildcard(type) && !this.#wanted[type].has(name)) return undefined;
    // A copy: the slice would keep the whole response in memory.
    const bytes = Buffer.from(any.value ?? []);
    const version = resource.version ?? '';
    const known: Held<Compiled[T]> | undefined = this.#held[type].get(name);
    // Equal bytes keep the compiled object, so that the data path sees that nothing changed.
    if (known?.bytes.equals(bytes)) return { version, bytes: known.bytes, value: known.value };
    const compiled = COMPILERS[type](bytes, this.#demand);
    if (compiled.name !== name) {
      throw new FieldRefusal(type === 'eds' ? 'cluster_name' : 'name', `"${compiled.name}" inside`);
    }
    return { version, bytes, value: compiled.value };
  }

  #apply<T extends XdsType>(type: T, changes: Changes<T>, removed: readonly string[]): void {
    const held: Map<string, Held<Compiled[T]>> = this.#held[type];
    for (const [name, change] of changes) held.set(name, change);
    if (isWildcard(type)) {
      this.#answered.add(type);
      for (const name of removed) held.delete(name);
      this.#answerWanted(type, changes.keys(), removed);
      this.#follow();
    } else {
      this.#answerNamed(type, changes.keys(), removed);
    }
  }

  #answerWanted(type: XdsType, named: Iterable<string>, removed: readonly string[]): void {
    for (const name of named) this.#missing[type].delete(name);
    for (const name of removed) if (this.#wanted[type].has(name)) this.#missing[type].add(name);
  }

  #answerNamed(type: XdsType, named: Iterable<string>, removed: readonly string[]): void {
    for (const name of named) this.#missing[type].delete(name);
    for (const name of removed) if (this.#wanted[type].has(name)) this.#gone(type, name);
  }

  /**
   * Endpoints and routes in use are kept when the server no longer has them (Envoy does the same): only a
   * cluster without endpoints, or a listener without routes, says that there are none.
   */
  #gone(type: XdsType, name: string): void {
    const held = this.#held[type].get(name);
    if (held) held.version = '';
    else this.#missing[type].add(name);
  }

  /** What clusters and listeners name now is wanted; what nobody names any more is forgotten. */
  #follow(): void {
    const eds = new Set<string>();
    for (const { value } of this.#held.cds.values()) if ('eds' in value.hosts) eds.add(value.hosts.eds);
    const rds = new Set<string>();
    for (const { value } of this.#held.lds.values())
      if ('routes' in value && 'rds' in value.routes) rds.add(value.routes.rds);
    this.#wanted = { ...this.#wanted, eds, rds };
    for (const type of ['eds', 'rds'] as const) {
      const wanted = this.#wanted[type];
      for (const name of this.#held[type].keys()) if (!wanted.has(name)) this.#held[type].delete(name);
      for (const name of this.#missing[type]) if (!wanted.has(name)) this.#missing[type].delete(name);
    }
  }
}

const isWildcard = (type: XdsType): boolean => type === 'cds' || type === 'lds';

type Changes<T extends XdsType> = Map<string, Held<Compiled[T]>>;

/** Two listeners on one address would be accepted and then fail to bind; port 0 never clashes. */
function addressClashes(
  held: ReadonlyMap<string, Held<CompiledListener>>,
  changes: Changes<'lds'>,
  removed: readonly string[],
): string[] {
  const after = new Map([...held, ...changes]);
  for (const name of removed) after.delete(name);
  const owners = new Map<string, string>();
  const problems: string[] = [];
  for (const [name, { value }] of after) {
    const key = `${value.address} port ${value.port}`;
    const owner = owners.get(key);
    if (owner !== undefined && value.port !== 0) {
      problems.push(`${MESSAGE.lds} "${name}": address: ${key} belongs to listener "${owner}"`);
    }
    owners.set(key, name);
  }
  return problems;
}
