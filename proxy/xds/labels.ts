// Metadata `envoy.lb` → pairs of key and canonical value, for subsets: two values are equal exactly when their
// texts are.
import type { Metadata__Output } from '../../proto/gen/types/envoy/config/core/v3/Metadata.ts';
import type { Struct__Output } from '../../proto/gen/types/google/protobuf/Struct.ts';
import type { Value__Output } from '../../proto/gen/types/google/protobuf/Value.ts';
import type { SubsetPairs } from '../balancers/types.ts';

const NAMESPACE = 'envoy.lb';
const NONE: SubsetPairs = [];

export function labelsOf(metadata: Metadata__Output | undefined): SubsetPairs {
  const struct = metadata?.filter_metadata?.[NAMESPACE];
  return struct ? pairsOf(struct) : NONE;
}

/** Sorted by key. */
export function pairsOf(struct: Struct__Output | undefined): SubsetPairs {
  return Object.entries(struct?.fields ?? {})
    .map(([key, value]): readonly [string, string] => [key, textOf(value)])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function textOf(value: Value__Output): string {
  if (value.structValue) return JSON.stringify(pairsOf(value.structValue));
  if (value.listValue) return `[${(value.listValue.values ?? []).map(textOf).join(',')}]`;
  return JSON.stringify(value.stringValue ?? value.numberValue ?? value.boolValue ?? null);
}
