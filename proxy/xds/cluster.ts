// Cluster → what the proxy needs of it: where its hosts come from and how long a connect may take.
// Refuses what would send traffic to the wrong place or in the clear; ignores fields that only tune.
import type { Cluster__Output } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ConfigSource__Output } from '../../proto/gen/types/envoy/config/core/v3/ConfigSource.ts';
import type { TransportSocket__Output } from '../../proto/gen/types/envoy/config/core/v3/TransportSocket.ts';
import { typeUrl } from '../../proto/codec.ts';
import type { UpstreamHost } from '../tables.ts';
import { compileAssignment } from './endpoints.ts';
import { FieldRefusal, within } from './refusal.ts';
import { durationMs } from './types.ts';

export interface CompiledCluster {
  readonly name: string;
  readonly connectTimeoutMs: number;
  /** Either the name of the ClusterLoadAssignment to ask for, or the hosts themselves. */
  readonly hosts: { readonly eds: string } | { readonly inline: readonly UpstreamHost[] };
}

/** Default of Cluster.connect_timeout in the xDS API. */
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;

/** @throws FieldRefusal */
export function compileCluster(message: Cluster__Output): CompiledCluster {
  const name = message.name ?? '';
  if (name === '') throw new FieldRefusal('name', 'empty');
  if (message.transport_socket) {
    within('transport_socket', () => assertPlain(message.transport_socket));
  }
  if (message.transport_socket_matches?.length) {
    throw new FieldRefusal('transport_socket_matches', 'TLS is not supported');
  }
  const connectTimeoutMs = durationMs(message.connect_timeout, DEFAULT_CONNECT_TIMEOUT_MS);
  if (connectTimeoutMs === 0) throw new FieldRefusal('connect_timeout', 'must be greater than 0');
  return { name, connectTimeoutMs, hosts: hostsOf(message, name) };
}

function hostsOf(message: Cluster__Output, name: string): CompiledCluster['hosts'] {
  if (message.cluster_type)
    throw new FieldRefusal('cluster_type', `${message.cluster_type.name ?? ''} is not supported`);
  const type = message.type ?? 'STATIC';
  if (type === 'EDS') {
    within('eds_cluster_config.eds_config', () => assertAds(message.eds_cluster_config?.eds_config));
    return { eds: message.eds_cluster_config?.service_name || name };
  }
  if (type === 'STATIC') {
    const assignment = message.load_assignment;
    if (!assignment) throw new FieldRefusal('load_assignment', 'missing in a STATIC cluster');
    return { inline: within('load_assignment', () => compileAssignment(assignment)) };
  }
  throw new FieldRefusal('type', `${type} is not supported`);
}

/** Everything comes over the one stream: `ads`, or `self`, which means the same here. */
export function assertAds(source: ConfigSource__Output | undefined): void {
  if (source?.ads || source?.self) return;
  throw new FieldRefusal(
    'config_source_specifier',
    `${source?.config_source_specifier ?? 'missing'}, must be ads`,
  );
}

/** Plain TCP only: to ignore a TLS socket would be to speak in the clear where it was forbidden. */
export function assertPlain(socket: TransportSocket__Output | undefined): void {
  const url = socket?.typed_config?.type_url;
  if (!socket || url === typeUrl('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer')) return;
  throw new FieldRefusal('typed_config', `${url ?? socket.name ?? ''} is not supported`);
}
