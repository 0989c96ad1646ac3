// The file of overrides as Isthmus wrote it before replicas shared them. Read, never written.
import { z } from 'zod';
import { contentHash } from '../../lib/hash.ts';
import type { TableContent } from '../table/file.ts';
import { rowKey } from './value.ts';
import type { OverrideValue } from './value.ts';

const time = z.int().min(0).max(8.64e15);

const oldFile = z.object({
  format: z.literal('isthmus-overrides'),
  version: z.literal(1),
  writtenAt: z.number(),
  overrides: z.array(
    z.object({
      service: z.string().min(1),
      key: z.string().min(1),
      since: time,
      override: z.object({
        drain: z.literal(true).exactOptional(),
        weight: z.int().min(0).exactOptional(),
        labels: z.record(z.string(), z.string()).exactOptional(),
        until: time,
        reason: z.string(),
        by: z.string(),
      }),
    }),
  ),
});

/** undefined when it is none. Its times are by the wall clock of the moment at which it was written. */
export function readOldOverrides(document: unknown): TableContent<OverrideValue> | undefined {
  const parsed = oldFile.safeParse(document);
  if (!parsed.success) return undefined;
  const { writtenAt, overrides } = parsed.data;
  return {
    writtenAt,
    wall: writtenAt,
    isMeasured: false,
    rows: overrides.map(({ service, key, since, override: { until, by, ...set } }) => ({
      key: rowKey(service, key),
      at: since,
      id: contentHash(`${service} ${key}`).slice(0, 8),
      by,
      until,
      value: { service, key, ...set },
      isLocal: true,
    })),
  };
}
