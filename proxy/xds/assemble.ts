// Held resources → the tables the data path runs on, copy-on-write: what did not change is the same object
// in the next tables. Make before break: a cluster or listener that was changed serves as it was until what
// it names has arrived; one that was removed goes at once.
import type { Cluster, ListenerTable, ProxyTables, RouteTable, UpstreamHost } from '../tables.ts';
import type { CompiledCluster } from './cluster.ts';
import type { CompiledListener } from './listener.ts';
import { NO_ROUTES } from './route-table.ts';
import type { ResourceStore } from './store.ts';

const NO_HOSTS: readonly UpstreamHost[] = [];

export function assembleTables(store: ResourceStore, before: ProxyTables): ProxyTables {
  const clusters = new Map<string, Cluster>();
  for (const [name, { value }] of store.held('cds')) {
    const known = before.clusters.get(name);
    const hosts = hostsOf(store, value);
    const cluster = hosts ? clusterOf(value, hosts, known) : known;
    if (cluster) clusters.set(name, cluster);
  }
  const listeners = new Map<string, ListenerTable>();
  for (const [name, { value }] of store.held('lds')) {
    const known = before.listeners.get(name);
    const routes = routesOf(store, value);
    const listener = routes ? listenerOf(value, routes, known) : known;
    if (listener) listeners.set(name, listener);
  }
  return {
    clusters: sameEntries(clusters, before.clusters) ? before.clusters : clusters,
    listeners: sameEntries(listeners, before.listeners) ? before.listeners : listeners,
  };
}

function hostsOf(store: ResourceStore, cluster: CompiledCluster): readonly UpstreamHost[] | undefined {
  if ('inline' in cluster.hosts) return cluster.hosts.inline;
  const { eds } = cluster.hosts;
  return store.held('eds').get(eds)?.value ?? (store.isMissing('eds', eds) ? NO_HOSTS : undefined);
}

function routesOf(store: ResourceStore, listener: CompiledListener): RouteTable | undefined {
  if ('inline' in listener.routes) return listener.routes.inline;
  const { rds } = listener.routes;
  return store.held('rds').get(rds)?.value ?? (store.isMissing('rds', rds) ? NO_ROUTES : undefined);
}

function clusterOf(
  { name, connectTimeoutMs }: CompiledCluster,
  hosts: readonly UpstreamHost[],
  known: Cluster | undefined,
): Cluster {
  if (known?.hosts === hosts && known.connectTimeoutMs === connectTimeoutMs) return known;
  return { name, connectTimeoutMs, hosts };
}

function listenerOf(
  { name, address, port, direction }: CompiledListener,
  routes: RouteTable,
  known: ListenerTable | undefined,
): ListenerTable {
  const same =
    known?.routes === routes &&
    known.address === address &&
    known.port === port &&
    known.direction === direction;
  return same ? known : { name, address, port, direction, routes };
}

function sameEntries<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, value] of a) if (b.get(name) !== value) return false;
  return true;
}
