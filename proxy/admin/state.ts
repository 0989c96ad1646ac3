// What the proxy's admin API tells of, as plain data of one moment.
import type { Node } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { SpanCounts } from '../observe/exporters.ts';
import type { LogCounts } from '../observe/logs.ts';
import type { DataPlaneStats } from '../stats.ts';
import type { ProxyTables } from '../tables.ts';
import type { AdsStatus } from '../xds/client.ts';
import type { ResourceStore } from '../xds/store.ts';

export interface ProxyState {
  /** No configuration yet; configured but an address is not had yet; serving; ending. */
  readonly phase: 'PRE_INITIALIZING' | 'INITIALIZING' | 'LIVE' | 'DRAINING';
  readonly node: Node;
  readonly version: string;
  readonly uptimeMs: number;
  readonly ads: AdsStatus;
  readonly store: Pick<ResourceStore, 'held'>;
  readonly tables: ProxyTables;
  readonly stats: DataPlaneStats;
  readonly logs: LogCounts;
  readonly spans: SpanCounts;
}
