// Held resources → the tables the data path runs on, copy-on-write: what did not change is the same object
// in the next tables. Make before break: a cluster or listener that was changed serves as it was until what
// it names has arrived; one that was removed goes at once.
import type { Assignment, Cluster, ListenerTable, ProxyTables, RouteTable } from '../tables.ts';
import type { CompiledCluster } from './cluster.ts';
import type { CompiledHttpListener, CompiledTcpListener } from './listener.ts';
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
    const listener = 'tcp' in value ? tcpListenerOf(value, known) : httpListenerOf(store, value, known);
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

function routesOf(store: ResourceStore, listener: CompiledHttpListener): RouteTable | undefined {
  if ('inline' in listener.routes) return listener.routes.inline;
  const { rds } = listener.routes;
  return store.held('rds').get(rds)?.value ?? (store.isMissing('rds', rds) ? NO_ROUTES : undefined);
}

function clusterOf(
  { name, connectTimeoutMs, balancing, limits, checks }: CompiledCluster,
  assignment: Assignment,
  known: Cluster | undefined,
): Cluster {
  const same =
    known?.hosts === assignment.hosts &&
    known.balancing === balancing &&
    known.breakers === limits.breakers &&
    known.health === checks.health &&
    known.connectTimeoutMs === connectTimeoutMs;
  return same ? known : { name, connectTimeoutMs, balancing, ...limits, ...checks, ...assignment };
}

/** Until its routes have arrived: the listener as it was. */
function httpListenerOf(
  store: ResourceStore,
  compiled: CompiledHttpListener,
  known: ListenerTable | undefined,
): ListenerTable | undefined {
  const routes = routesOf(store, compiled);
  if (!routes) return known;
  const { name, address, port, direction, http, sniff } = compiled;
  const same =
    known &&
    'routes' in known &&
    known.routes === routes &&
    known.http === http &&
    known.sniff === sniff &&
    sameListen(known, compiled);
  return same ? known : { name, address, port, direction, routes, http, ...(sniff && { sniff }) };
}

function tcpListenerOf(compiled: CompiledTcpListener, known: ListenerTable | undefined): ListenerTable {
  const { name, address, port, direction, tcp } = compiled;
  const same = known && 'tcp' in known && known.tcp === tcp && sameListen(known, compiled);
  return same ? known : { name, address, port, direction, tcp };
}

type ListenAt = Pick<ListenerTable, 'address' | 'port' | 'direction'>;

function sameListen(a: ListenAt, b: ListenAt): boolean {
  return a.address === b.address && a.port === b.port && a.direction === b.direction;
}

function sameEntries<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, value] of a) if (b.get(name) !== value) return false;
  return true;
}
