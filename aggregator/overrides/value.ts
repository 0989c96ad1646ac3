// What an override says, as it stands in the table of overrides. Pure; checks what other processes wrote.
import { z } from 'zod';
import type { PlacedOverride } from '../../model/rules.ts';
import { escapeKey } from '../cluster/bus.ts';
import { revisionOf } from '../table/row.ts';
import type { InForce } from '../table/table.ts';

const overrideValue = z.object({
  /** Canonical. */
  service: z.string().min(1),
  /** endpointKey(). */
  key: z.string().min(1),
  drain: z.literal(true).exactOptional(),
  weight: z.int().min(0).exactOptional(),
  labels: z.record(z.string(), z.string()).exactOptional(),
  reason: z.string(),
});

export type OverrideValue = z.infer<typeof overrideValue>;

export const readOverride = (value: unknown): OverrideValue | undefined =>
  overrideValue.safeParse(value).data;

export const rowKey = (service: string, key: string): string => `${escapeKey(service)}.${escapeKey(key)}`;

export function placedFrom(row: InForce<OverrideValue>): PlacedOverride {
  const { at, by, until = Number.MAX_SAFE_INTEGER, value } = row;
  const { service, key, ...set } = value;
  return { service, key, since: at, revision: revisionOf(row), override: { ...set, since: at, until, by } };
}
