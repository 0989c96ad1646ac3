// Held resources → the tables the data path runs on, copy-on-write: what did not change is the same object
// in the next tables. Make before break: a cluster or listener that was changed serves as it was until what
// it names has arrived; one that was removed goes at once.
import type { Assignment, Cluster, ListenerTable, ProxyTables, RouteTable } from '../tables.ts';
import type { CompiledCluster } from './cluster.ts';
import type { CompiledListener } from './listener.ts';
import { NO_ROUTES } from './route-table.ts';
import type { ResourceStore } from './store.ts';

const NO_HOSTS: Assignment = { hosts: [] };

export function assembleTables(store: ResourceStore, before: ProxyTables): ProxyTables {
  const clusters = new Map<string, Cluster>();
  for (const [name, { value }] of store.held('cds')) {
    const known = before.clusters.get(name);
    const assignment = assignmentOf(store, value);
    const cluster = assignment ? clusterOf(value, assignment, known) : known;
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

function assignmentOf(store: ResourceStore, cluster: CompiledCluster): Assignment | undefined {
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
  { name, connectTimeoutMs, balancing }: CompiledCluster,
  assignment: Assignment,
  known: Cluster | undefined,
): Cluster {
  const same =
    known?.hosts === assignment.hosts &&
    known.balancing === balancing &&
    known.connectTimeoutMs === connectTimeoutMs;
  return same ? known : { name, connectTimeoutMs, balancing, ...assignment };
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
