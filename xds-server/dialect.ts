// Clients differ in what they can read: a dialect is one way to say the catalogue, with resources and names of
// its own. Envoy's is the catalogue itself; another one is told of every service that changed and builds what
// its clients ask for. Which dialect a node speaks is decided in node.ts.
import type { MergedService } from '../model/merge/types.ts';
import type { EncodedResource } from './resource.ts';
import type { ResourceType } from './types.ts';

export type DialectName = 'envoy' | 'grpc';

/** Names that were added, changed or removed, by type. Absent type: nothing. */
export type ChangeSet = ReadonlyMap<ResourceType, ReadonlySet<string>>;

/** What one update changed, for the clients of each dialect. */
export interface Changes extends Readonly<Record<DialectName, ChangeSet>> {
  /** Services that were looked at, for who sees only some. */
  readonly services: ReadonlySet<string>;
  /** Services whose part of the routes is another one than clients were told of before. */
  readonly routed: ReadonlySet<string>;
  /** Services whose own sidecars may be told something else than before. */
  readonly beside: ReadonlySet<string>;
}

export const hasChanges = ({ envoy, grpc, beside }: Changes): boolean =>
  envoy.size > 0 || grpc.size > 0 || beside.size > 0;

/** Resources by type and name. Each is encoded once; who asks twice gets the same object. */
export interface ResourceSet {
  get(type: ResourceType, name: string): EncodedResource | undefined;
  /** What a wildcard covers. */
  names(type: ResourceType): Iterable<string>;
}

/** Whether some client is subscribed to it. */
export type Wanted = (type: ResourceType, name: string) => boolean;

/** A dialect beside Envoy's. It is told in this order: put and drop, then renamed, then takeChanges. */
export interface Dialect extends ResourceSet {
  put(service: MergedService): void;
  drop(service: string): void;
  /** The names of these services, or some of them, lead elsewhere now. */
  renamed(services: ReadonlySet<string>): void;
  /** What changed since the last call. */
  takeChanges(): ChangeSet;
  /** Gives up what it kept only for clients that may still use it. */
  release(wanted: Wanted): void;
}

/** What a dialect may ask the catalogue for when a client names something that it has not built yet. */
export interface DialectSource extends ResourceSet {
  /** The cluster that a name leads to: an authority with or without port, an alias, a cluster's own name. */
  clusterOf(name: string): { readonly service: string; readonly cluster: string } | undefined;
  /** All names that a service claims, whether it owns them or not. */
  namesOf(service: string): Iterable<string>;
  /** undefined: no such service, or it cannot be merged. */
  merged(service: string): MergedService | undefined;
}
