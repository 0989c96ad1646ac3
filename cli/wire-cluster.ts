// Joins a control plane to its replicas: who watches a source is settled over NATS, and what the watching one
// decides goes to all. Without `cluster` in the config every source is watched here.
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { SidecarBook } from '../adapters/sidecar/book.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import { keepLease } from '../aggregator/cluster/lease.ts';
import type { Role } from '../aggregator/cluster/lease.ts';
import { openNats } from '../aggregator/cluster/nats.ts';
import { LOAD_KEPT_MS, shareLoad } from '../aggregator/cluster/share-load.ts';
import { shareSource } from '../aggregator/cluster/share.ts';
import { SharedSidecars } from '../aggregator/cluster/sidecars.ts';
import { shareTable } from '../aggregator/table/link.ts';
import type { Table } from '../aggregator/table/table.ts';
import type { ClusterConfig } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import type { Discoverer } from '../model/discovery.ts';
import type { LoadExchange } from '../model/load.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface Membership {
  /** Follows a source, by itself or through the replica that watches it, until `signal` aborts. */
  follow(discoverer: Discoverer, signal: AbortSignal): Promise<void>;
  /** Shares a table with the other replicas until `signal` aborts; alone, there is nobody to share it with. */
  share<V>(table: Table<V>, signal: AbortSignal): Promise<void>;
  /**
   * Takes part in who does a work that one replica does, until `signal` aborts. Tells who does: '' this one, else
   * another replica, or why nobody, in words.
   */
  lead(work: string, onLeader: (elsewhere: string) => void, signal: AbortSignal): Promise<void>;
  /** Shares what data planes report with the other replicas until `signal` aborts. */
  shareLoad(exchange: () => LoadExchange, signal: AbortSignal): Promise<void>;
  /** Tells the other replicas of the sidecars that are connected here, and the book of those that are there. */
  sidecars(book: SidecarBook, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** @throws ISTHMUS_CLIENT_MISSING when there is a cluster in the config, but not the package for it. */
export async function joinCluster(
  config: ClusterConfig | undefined,
  aggregator: Aggregator,
  deps: { readonly clock: Clock; readonly log: Logger },
): Promise<Membership> {
  if (!config) {
    return {
      follow: (discoverer, signal) => aggregator.attach(discoverer, signal),
      share: () => Promise.resolve(),
      sidecars: () => Promise.resolve(),
      lead(_work, onLeader) {
        onLeader('');
        return Promise.resolve();
      },
      shareLoad: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
  }
  // Never used again, not even by the same process after a restart: a lease belongs to one life.
  const replica = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  const bus = await openNats({
    servers: config.nats,
    name: replica,
    prefix: config.name,
    copies: config.copies ?? (config.nats.length >= 3 ? 3 : 1),
  });
  return {
    follow: (discoverer, signal) =>
      shareSource(
        {
          catalogue: aggregator.share(discoverer.source, discoverer.kind),
          watch: (watched) => aggregator.attach(discoverer, watched),
          replica,
          leases: () => bus.bucket('leases'),
          shards: () => bus.bucket('shards'),
          maxValueBytes: () => bus.maxValueBytes,
          onRole: (role) => aggregator.setWatcher(discoverer.source, watcher(role, replica)),
          ...deps,
        },
        signal,
      ),
    lead: (work, onLeader, signal) =>
      keepLease(
        {
          // No source has a name like it.
          source: `*${work}`,
          replica,
          bucket: () => bus.bucket('leases'),
          onRole: (role) => onLeader(leader(role)),
          clock: deps.clock,
        },
        signal,
      ),
    share: (table, signal) => shareTable({ table, bucket: () => bus.bucket(table.name), ...deps }, signal),
    shareLoad: (exchange, signal) =>
      shareLoad(
        {
          exchange: exchange(),
          replica,
          bucket: () => bus.bucket('load', LOAD_KEPT_MS),
          maxValueBytes: () => bus.maxValueBytes,
          ...deps,
        },
        signal,
      ),
    async sidecars(book, signal) {
      const shared = new SharedSidecars({
        replica,
        bucket: () => bus.bucket('sidecars'),
        open: (session) => book.open(session),
        found: (via, node, health) => book.found(via, node, health),
        ...deps,
      });
      const unfollow = book.follow(shared);
      await shared.run(signal).finally(unfollow);
    },
    close: () => bus.close(),
  };
}

function watcher(role: Role, replica: string): string | undefined {
  if (role.role === 'alone') return undefined;
  return role.role === 'holder' ? replica : role.holder;
}

function leader(role: Role): string {
  if (role.role === 'holder') return '';
  return role.role === 'follower' ? `replica ${role.holder}` : `nobody: NATS does not answer (${role.cause})`;
}
