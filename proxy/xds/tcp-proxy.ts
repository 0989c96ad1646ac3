// TcpProxy → where connections go and how long they live. What is not read here is refused by name.
import { decode } from '../../proto/codec.ts';
import type { TcpProxy__Output } from '../../proto/gen/types/envoy/extensions/filters/network/tcp_proxy/v3/TcpProxy.ts';
import { subsetName } from '../balancers/subset.ts';
import type { TcpTable, TcpTarget } from '../tables.ts';
import { compileAccessLogs } from './access-log.ts';
import { labelsOf } from './labels.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

export const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';

/** Envoy's default of idle_timeout. */
const DEFAULT_IDLE_MS = 3_600_000;

const HONOURED = [
  'stat_prefix',
  'access_log',
  'cluster',
  'cluster_specifier',
  'weighted_clusters',
  'metadata_match',
  'idle_timeout',
  'max_downstream_connection_duration',
  'max_connect_attempts',
  'hash_policy',
];

/** @throws FieldRefusal */
export function compileTcpProxy(bytes: Buffer): TcpTable {
  const message = decodeTcpProxy(bytes);
  assertOnly(message, HONOURED);
  const idle = message.idle_timeout;
  const max = message.max_downstream_connection_duration;
  return {
    targets: targetsOf(message),
    idleMs: durationMs(idle, DEFAULT_IDLE_MS),
    maxMs: durationMs(max, 0),
    connectAttempts: Math.max(1, message.max_connect_attempts?.value ?? 1),
    hashClient: hashesClient(message),
    ...compileAccessLogs(message.access_log),
    ...(message.stat_prefix && { statPrefix: message.stat_prefix }),
  };
}

function decodeTcpProxy(bytes: Buffer): TcpProxy__Output {
  try {
    return decode<TcpProxy__Output>(TCP_PROXY, bytes);
  } catch {
    throw new FieldRefusal('value', 'cannot be decoded');
  }
}

function targetsOf(message: TcpProxy__Output): readonly TcpTarget[] {
  const subset = subsetName(labelsOf(message.metadata_match));
  if (message.cluster) return [{ cluster: message.cluster, weight: 1, subset }];
  const clusters = message.weighted_clusters?.clusters ?? [];
  if (clusters.length === 0) throw new FieldRefusal('cluster_specifier', 'missing');
  return clusters.map((entry, i) =>
    within(`weighted_clusters.clusters[${i}]`, () => {
      if (!entry.name) throw new FieldRefusal('name', 'empty');
      const weight = entry.weight ?? 0;
      if (weight < 1) throw new FieldRefusal('weight', `${weight}, must be at least 1`);
      const own = entry.metadata_match ? subsetName(labelsOf(entry.metadata_match)) : subset;
      return { cluster: entry.name, weight, subset: own };
    }),
  );
}

function hashesClient(message: TcpProxy__Output): boolean {
  const policies = message.hash_policy ?? [];
  for (const [i, policy] of policies.entries()) {
    if (policy.policy_specifier !== 'source_ip') {
      throw new FieldRefusal(`hash_policy[${i}]`, `${policy.policy_specifier ?? 'missing'} is not supported`);
    }
  }
  return policies.length > 0;
}
