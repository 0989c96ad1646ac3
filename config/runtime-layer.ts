// The resource RuntimeLayer: values that Envoys look up by key while they serve (RTDS), changed without a restart.
// What a key means is the data plane's own affair; here it is only that a value is one that Envoy can read.
import { z } from 'zod';
import type { RuntimeLayer, RuntimeValue } from '../model/runtime.ts';
import { show } from './explain.ts';
import { API_VERSION, metadata } from './metadata.ts';
import type { FieldPath } from './problems.ts';

export const runtimeLayer = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('RuntimeLayer'),
  /** Its name is that of the layer, whatever the namespace. */
  metadata,
  spec: z.strictObject({
    /** By key, such as `upstream.maintenance_mode.orders.default`. */
    values: z.record(
      z
        .string()
        .regex(/^[\x21-\x7e]+$/, 'a key of printable characters without spaces, such as upstream.use_retry'),
      z.unknown(),
    ),
  }),
});

type RuntimeLayerResource = z.infer<typeof runtimeLayer>;

/** envoy.type.v3.FractionalPercent */
const fraction = z.strictObject({
  numerator: z.int().min(0).max(0xffff_ffff),
  denominator: z.enum(['HUNDRED', 'TEN_THOUSAND', 'MILLION']).default('HUNDRED'),
});

const VALUES =
  'a number, text, true or false, or a share of requests such as {numerator: 5, denominator: HUNDRED}';

export function layerFrom({ spec }: RuntimeLayerResource): RuntimeLayer {
  return new Map(
    Object.entries(spec.values).flatMap(([key, written]) => {
      const value = valueOf(written);
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
}

/** Values that cannot be served, and where. */
export const valueFaults = ({ spec }: RuntimeLayerResource): readonly (readonly [FieldPath, string])[] =>
  Object.entries(spec.values).flatMap(([key, written]): (readonly [FieldPath, string])[] => {
    if (valueOf(written) !== undefined) return [];
    const [inner] =
      typeof written === 'object' && written && !Array.isArray(written) ? Object.keys(written) : [];
    const isNested = inner !== undefined && inner !== 'numerator' && inner !== 'denominator';
    const hint = isNested ? `; keys are written in one: "${key}.${inner}"` : '';
    return [[['spec', 'values', key], `expected ${VALUES}; got ${show(written)}${hint}`]];
  });

function valueOf(written: unknown): RuntimeValue | undefined {
  if (typeof written === 'number') return Number.isFinite(written) ? written : undefined;
  if (typeof written === 'string' || typeof written === 'boolean') return written;
  return fraction.safeParse(written).data;
}
