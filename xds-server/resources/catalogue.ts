// From federation snapshots to resources, incrementally and in slices: only what belongs to a service whose slice
// changed is built again, and a long list is taken in bit by bit. Holds the resources that every Envoy-dialect
// client sees; what a node has of its own (listeners, inbound cluster) is added in view.ts. Between two slices all
// is whole: a service's clusters come with their endpoints, routes name only clusters that are there, and clusters
// go after the routes that named them.
import { toError } from '../../lib/errors.ts';
import { mergeShards } from '../../model/merge.ts';
import type { MergedService } from '../../model/merge/types.ts';
import type { FederationSnapshot, ServiceShards } from '../../model/snapshot.ts';
import type { LatencyRules, TrafficRules } from '../../model/traffic.ts';
import type { Changes, Dialect, DialectSource } from '../dialect.ts';
import type { EncodedResource } from '../resource.ts';
import { ResourceTable } from '../resource-table.ts';
import type { SetVersion } from '../set-version.ts';
import type { ResourceType } from '../types.ts';
import { Authorities } from './authorities.ts';
import { Backlog } from './backlog.ts';
import { clustersOf } from './cluster-names.ts';
import { buildCluster } from './clusters.ts';
import { Pairs, isNamed, namedCheck } from './active-checks.ts';
import { buildEndpoints } from './endpoints.ts';
import { GrpcDialect } from './grpc/dialect.ts';
import { RouteTable } from './route-table.ts';
import type { RoutePart } from './route-table.ts';

/** What a service costs beside its endpoints, each of which counts 1: about a microsecond. */
const SERVICE_WORK = 20;
const RETIRED_WORK = 4;
/** So much is built, a second's worth or two, before routes are told of, also when news never ends. */
const ROUTES_DUE_WORK = 1_000_000;

const NOBODY: ReadonlySet<string> = new Set();

interface Built {
  readonly slice: ServiceShards;
  readonly clusters: readonly string[];
}

export class Catalogue implements DialectSource {
  /** What proxyless gRPC clients see of the same services. */
  readonly grpc: Dialect;
  readonly #table = new ResourceTable();
  readonly #backlog = new Backlog();
  readonly #built = new Map<string, Built>();
  readonly #authorities = new Authorities();
  readonly #routes = new RouteTable();
  /** Of services that have some: how callers treat them. */
  readonly #traffic = new Map<string, TrafficRules>();
  /** Services whose routes are others than those that clients are told of. */
  #reroute = new Set<string>();
  #touched = new Set<string>();
  /** Services whose own sidecars may be told something else than before. */
  #beside = new Set<string>();
  /** Clusters that no route names any more, once clients are told of the routes. */
  readonly #retiring = new Set<string>();
  readonly #pairs = new Pairs();
  /** Services to be built again though nothing is new of them. */
  readonly #again = new Set<string>();
  #workSinceRoutes = 0;
  #behind = false;
  readonly #onFault: (service: string, error: Error) => void;

  /** @param onFault a service whose resources cannot be built: it keeps those it had. */
  constructor(onFault: (service: string, error: Error) => void) {
    this.#onFault = onFault;
    this.grpc = new GrpcDialect(this);
    // A listener names the route configuration from the first moment on: an empty one, not none.
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

  clusterOf(name: string): { readonly service: string; readonly cluster: string } | undefined {
    return this.#authorities.clusterOf(name);
  }

  namesOf(service: string): Iterable<string> {
    return this.#authorities.namesOf(service);
  }

  /** What leads to a service, once clients may be told of it: see Changes.routed. */
  routePart(service: string): RoutePart | undefined {
    return this.#routes.part(service);
  }

  /** What holds on the inbound side of its sidecars; undefined: nothing is refused there. */
  latencyRules(service: string): LatencyRules | undefined {
    return this.#traffic.get(service)?.breaker?.latency;
  }

  /** Names of its clusters; none: there is no such service. */
  clustersIn(service: string): readonly string[] {
    return this.#built.get(service)?.clusters ?? [];
  }

  services(): Iterable<string> {
    return this.#built.keys();
  }

  merged(service: string): MergedService | undefined {
    const slice = this.#built.get(service)?.slice;
    if (!slice) return undefined;
    try {
      return mergeShards(slice);
    } catch (thrown) {
      this.#onFault(service, toError(thrown));
      return undefined;
    }
  }

  /** Not all of what was offered is taken in. */
  get isBehind(): boolean {
    return this.#behind;
  }

  /** The new state of the world, which advance() takes in. */
  offer({ services }: FederationSnapshot): void {
    this.#backlog.offer(services);
    this.#behind = true;
  }

  /** How many clients see these clusters. True: advance() has something to do. */
  setCallers(callers: number): boolean {
    if (!this.#pairs.setCallers(callers)) return false;
    this.#buildAgain();
    return true;
  }

  #buildAgain(): void {
    for (const service of this.#pairs.services) this.#again.add(service);
    this.#behind = true;
  }

  /** Takes the new state of the world, all of it; returns what changed for clients. */
  update(snapshot: FederationSnapshot): Changes {
    this.offer(snapshot);
    return this.advance(Infinity);
  }

  /**
   * Takes in a part of what was offered; returns what changed for clients.
   * @param most work, about: microseconds. At least one service is looked at.
   */
  advance(most: number): Changes {
    const routed = new Set<string>();
    const left = this.#take(most, routed);
    if (routed.size > 0) this.grpc.renamed(routed);
    const rerouted = left > 0 ? this.#finish(left) : NOBODY;
    const services = this.#touched;
    if (services.size > 0) this.#touched = new Set();
    const beside = this.#beside;
    if (beside.size > 0) this.#beside = new Set();
    return {
      envoy: this.#table.takeChanges(),
      grpc: this.grpc.takeChanges(),
      services,
      routed: rerouted,
      beside,
    };
  }

  /** @returns how much work is left; more than nothing when routes may be told of. */
  #take(most: number, routed: Set<string>): number {
    let left = most;
    while (left > 0 && this.#workSinceRoutes < ROUTES_DUE_WORK) {
      const service = this.#next();
      if (service === undefined) {
        this.#behind = false;
        return left;
      }
      const work = this.#look(service, routed);
      left -= work;
      this.#workSinceRoutes += work;
    }
    return left;
  }

  #next(): string | undefined {
    const [again] = this.#again;
    return this.#backlog.next() ?? again;
  }

  /** Tells of routes, and only then of what they do not name any more. @returns whose routes are others now. */
  #finish(most: number): ReadonlySet<string> {
    this.#workSinceRoutes = 0;
    const rerouted = this.#reroute;
    if (rerouted.size > 0) {
      this.#table.set(this.#routes.resource());
      this.#reroute = new Set();
    }
    let left = most;
    for (const cluster of this.#retiring) {
      if (left <= 0) break;
      left -= RETIRED_WORK;
      this.#retiring.delete(cluster);
      this.#table.unset('cds', cluster);
      this.#table.unset('eds', cluster);
    }
    if (this.#retiring.size > 0) this.#behind = true;
    return rerouted;
  }

  /** @returns the work it took. */
  #look(service: string, routed: Set<string>): number {
    const slice = this.#backlog.newest(service);
    const before = this.#built.get(service);
    if (!this.#again.delete(service) && slice === before?.slice) return 1;
    this.#touched.add(service);
    if (!slice) {
      this.#drop(service, routed);
      return SERVICE_WORK;
    }
    this.#built.set(service, { slice, clusters: before?.clusters ?? [] });
    try {
      this.#put(mergeShards(slice), slice, routed);
    } catch (thrown) {
      this.#onFault(service, toError(thrown));
    }
    let work = SERVICE_WORK;
    for (const { group } of slice.shards.values()) work += group.endpoints.length;
    return work;
  }

  #put(merged: MergedService, slice: ServiceShards, routed: Set<string>): void {
    // All built before any is set: a service that cannot be built changes nothing.
    const named = merged.ports.reduce((sum, { endpoints }) => sum + endpoints.filter(isNamed).length, 0);
    if (this.#pairs.setEndpoints(merged.service, named)) this.#buildAgain();
    const { isRoom } = this.#pairs;
    const built = clustersOf(merged).flatMap(({ name, port, rules }) => {
      const check = namedCheck(merged.service, port, rules, isRoom);
      return [buildCluster(name, port, rules, check), buildEndpoints(name, port, rules.policy, check)];
    });
    const before = this.#built.get(merged.service)?.clusters ?? [];
    for (const resource of built) this.#table.set(resource);
    const clusters = built.flatMap(({ type, name }) => (type === 'cds' ? name : []));
    this.#retire(before, clusters);
    this.#built.set(merged.service, { slice, clusters });
    this.#rename(merged.service, merged, routed);
    this.grpc.put(merged);
  }

  #drop(service: string, routed: Set<string>): void {
    this.#retire(this.#built.get(service)?.clusters ?? [], []);
    if (this.#pairs.setEndpoints(service, 0)) this.#buildAgain();
    this.#built.delete(service);
    this.#rename(service, undefined, routed);
    this.grpc.drop(service);
  }

  #retire(before: readonly string[], after: readonly string[]): void {
    for (const cluster of after) this.#retiring.delete(cluster);
    for (const cluster of before) if (!after.includes(cluster)) this.#retiring.add(cluster);
  }

  /** Clusters of all services concerned are there: no route leads to nowhere. */
  #rename(service: string, merged: MergedService | undefined, routed: Set<string>): void {
    const traffic = merged?.rules.traffic;
    const treated = traffic !== this.#traffic.get(service);
    if (traffic?.breaker?.latency !== this.latencyRules(service)) this.#beside.add(service);
    if (traffic) this.#traffic.set(service, traffic);
    else this.#traffic.delete(service);
    const renamed = this.#authorities.update(service, merged);
    for (const touched of renamed) routed.add(touched);
    for (const touched of treated ? new Set([...renamed, service]) : renamed) {
      const leads = this.#authorities.of(touched);
      if (this.#routes.set(touched, leads, this.#traffic.get(touched))) this.#reroute.add(touched);
    }
  }
}
