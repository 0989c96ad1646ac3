// The four resource types the proxy asks for, and the small proto values that all compilers read.
import { typeUrl } from '../../proto/codec.ts';
import type { Duration__Output } from '../../proto/gen/types/google/protobuf/Duration.ts';

export type XdsType = 'cds' | 'eds' | 'lds' | 'rds';

/** In the order in which a stream asks for them: what is referenced before what refers to it. */
export const XDS_TYPES: readonly XdsType[] = ['cds', 'eds', 'lds', 'rds'];

export const MESSAGE: Readonly<Record<XdsType, string>> = {
  cds: 'envoy.config.cluster.v3.Cluster',
  eds: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  lds: 'envoy.config.listener.v3.Listener',
  rds: 'envoy.config.route.v3.RouteConfiguration',
};

export const TYPE_URL: Readonly<Record<XdsType, string>> = {
  cds: typeUrl(MESSAGE.cds),
  eds: typeUrl(MESSAGE.eds),
  lds: typeUrl(MESSAGE.lds),
  rds: typeUrl(MESSAGE.rds),
};

const BY_URL = new Map(XDS_TYPES.map((type) => [TYPE_URL[type], type]));

export const xdsTypeOf = (url: string): XdsType | undefined => BY_URL.get(url);

/** Whole milliseconds, at least 1 for any positive duration; `absent` when the field is not set. */
export function durationMs(duration: Duration__Output | undefined, absent: number): number {
  if (!duration) return absent;
  const ms = Number(duration.seconds ?? 0) * 1_000 + (duration.nanos ?? 0) / 1e6;
  return ms <= 0 ? 0 : Math.max(1, Math.round(ms));
}
