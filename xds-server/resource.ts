// A resource, encoded once and shared by every stream that sees it.
import { contentHash } from '../lib/hash.ts';
import { TYPE_URL } from './types.ts';
import type { ResourceType } from './types.ts';
import { anyField, field, messageField, textField } from './wire/writer.ts';

export interface EncodedResource {
  readonly type: ResourceType;
  readonly name: string;
  /** Hash of the bytes: equal content has equal versions on every replica and after every restart. */
  readonly version: string;
  readonly bytes: Buffer;
  /** Ready-made `resources` entry (field 2) of a DeltaDiscoveryResponse. */
  readonly delta: Buffer;
  /** Ready-made `resources` entry (field 2) of a DiscoveryResponse. */
  readonly sotw: Buffer;
  /** Names of the next type that a client warms this resource with: EDS of a cluster, RDS of a listener. */
  readonly dependents: readonly string[];
  /** An assignment without endpoints. */
  readonly empty: boolean;
}

export function encodedResource(
  type: ResourceType,
  name: string,
  bytes: Buffer,
  options: { readonly dependents?: readonly string[]; readonly empty?: boolean } = {},
): EncodedResource {
  const version = contentHash(bytes);
  const any = anyField(2, TYPE_URL[type], bytes);
  return {
    type,
    name,
    version,
    bytes,
    // envoy.service.discovery.v3.Resource: version 1, resource 2, name 3.
    delta: messageField(2, [textField(1, version), any, textField(3, name)]),
    sotw: field(2, any.subarray(any.length - innerLength(any))),
    dependents: options.dependents ?? [],
    empty: options.empty ?? false,
  };
}

/** Length of what a length-delimited field holds. */
function innerLength(bytes: Buffer): number {
  let at = 1;
  while ((bytes[at] ?? 0) >= 128) at += 1;
  return bytes.length - at - 1;
}
