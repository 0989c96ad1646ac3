// The resource Migration: how a service moves from one source to another. Its shape, and what of it is checked
// without knowing anything else; files are read in resources.ts. What it means is in docs/migration.md.
import { z } from 'zod';
import type { FreezeWindow, MigrationSpec } from '../model/migration.ts';
import { splitSide } from '../model/rules.ts';
import { parseDuration } from '../lib/duration.ts';
import { freezeWindow } from './freeze.ts';
import { API_VERSION, metadata, nameIn } from './metadata.ts';

const MAX_MS = 90 * 24 * 3_600_000;

const time = (byDefault: string) =>
  z
    .string()
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms !== undefined && ms <= MAX_MS) return ms;
      context.addIssue({ code: 'custom', message: 'a duration such as 30s, 5m or 1h, at most 90d' });
      return z.NEVER;
    })
    .prefault(byDefault);

const percent = z.number().refine((value) => value > 0 && value <= 100, 'a percentage above 0, up to 100');

const step = z.strictObject({
  percent,
  for: time('0'),
  /** After it, before the next one. */
  approval: z.enum(['manual', 'none']).default('none'),
});

/** The windows that data planes' reports can be summed over. */
const window = time('1m').refine((ms) => ms >= 1_000 && ms <= 600_000, 'a duration from 1s to 10m');

const gates = z.strictObject({
  readyCapacity: z
    .number()
    .refine((value) => value >= 0 && value <= 10, 'a factor from 0 to 10')
    .default(0.8),
  successRate: z
    .strictObject({
      minPercent: percent,
      window,
      minRequests: z
        .number()
        .refine((value) => Number.isInteger(value) && value >= 1 && value <= 1e9, 'a whole number from 1 up')
        .default(100),
      onMissing: z.enum(['wait', 'mirror']).default('wait'),
    })
    .optional(),
  latencyP99: z
    .strictObject({
      maxRatioToSource: z.number().refine((value) => value > 0 && value <= 1_000, 'a factor above 0'),
      window,
      onMissing: z.enum(['wait', 'ignore']).default('wait'),
    })
    .optional(),
  identity: z.enum(['permissive', 'strict', 'proven']).default('strict'),
});

export const migration = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('Migration'),
  metadata,
  spec: z.strictObject({
    /** With its namespace after the last dot, or without: the resource's namespace then, else `default`. */
    service: z.string().min(1),
    from: z.string().min(1),
    to: z.string().min(1),
    /** With `to` equal to `from`: which of its endpoints are the new side. */
    labels: z
      .record(z.string().min(1), z.string())
      .refine((all) => Object.keys(all).length > 0, 'at least one label')
      .optional(),
    mirror: z.strictObject({ percent, for: time('0') }).optional(),
    steps: z.array(step).min(1),
    gates: gates.prefault({}),
    onFailure: z.enum(['rollback', 'pause']).default('rollback'),
    stickyBy: z.strictObject({ header: z.string().regex(/^[A-Za-z0-9-]+$/, 'a header name') }).optional(),
    after: z.array(z.string().min(1)).default([]),
    freeze: z.array(freezeWindow).default([]),
    retry: z
      .strictObject({
        max: z
          .number()
          .refine(
            (value) => Number.isInteger(value) && value >= 0 && value <= 1_000,
            'a whole number, 0 to 1000',
          )
          .default(0),
        coolDown: time('10m'),
      })
      .prefault({}),
  }),
});

export type Migration = z.infer<typeof migration>;

/** What the shape alone does not say; paths begin below the document. */
export function faultsOf({
  metadata: about,
  spec,
}: Migration): readonly (readonly [(string | number)[], string])[] {
  const faults: (readonly [(string | number)[], string])[] = [];
  if (spec.from === spec.to && !spec.labels) {
    faults.push([['spec', 'to'], 'expected another source than `from`, or `labels` of its new endpoints']);
  }
  if (spec.from !== spec.to && spec.labels) {
    faults.push([['spec', 'labels'], 'expected only where `to` is the same source as `from`']);
  }
  if (spec.labels && spec.mirror) {
    faults.push([['spec', 'mirror'], 'cannot be had inside one source: copies go to whole sources']);
  }
  spec.steps.forEach(({ percent: own }, index) => {
    const before = spec.steps[index - 1]?.percent ?? 0;
    if (own <= before) faults.push([['spec', 'steps', index, 'percent'], `expected more than ${before}`]);
  });
  const last = spec.steps.length - 1;
  if (spec.steps[last]?.percent !== 100) {
    faults.push([['spec', 'steps', last, 'percent'], 'expected 100 in the last step']);
  }
  const service = nameIn(spec.service, about);
  spec.after.forEach((other, index) => {
    if (nameIn(other, about) === service) faults.push([['spec', 'after', index], 'expected another service']);
  });
  if (spec.gates.successRate?.onMissing === 'mirror' && !spec.mirror) {
    faults.push([['spec', 'gates', 'successRate', 'onMissing'], 'expected `mirror` in the spec, too']);
  }
  return faults;
}

export function migrationFrom({ metadata: about, spec }: Migration): MigrationSpec {
  const { mirror, gates: wanted, retry } = spec;
  const { successRate, latencyP99 } = wanted;
  return {
    service: nameIn(spec.service, about),
    from: spec.from,
    to: spec.labels ? splitSide(spec.to, spec.labels) : spec.to,
    ...(spec.labels && { canary: spec.labels }),
    ...(mirror && { mirror: { percent: mirror.percent, forMs: mirror.for } }),
    steps: spec.steps.map((each) => ({ percent: each.percent, forMs: each.for, approval: each.approval })),
    gates: {
      readyCapacity: wanted.readyCapacity,
      identity: wanted.identity,
      ...(successRate && {
        successRate: {
          minPercent: successRate.minPercent,
          windowMs: successRate.window,
          minRequests: successRate.minRequests,
          onMissing: successRate.onMissing,
        },
      }),
      ...(latencyP99 && {
        latencyP99: {
          maxRatioToSource: latencyP99.maxRatioToSource,
          windowMs: latencyP99.window,
          onMissing: latencyP99.onMissing,
        },
      }),
    },
    onFailure: spec.onFailure,
    ...(spec.stickyBy && { stickyBy: { header: spec.stickyBy.header.toLowerCase() } }),
    after: spec.after.map((other) => nameIn(other, about)),
    freeze: spec.freeze satisfies readonly FreezeWindow[],
    retry: { max: retry.max, coolDownMs: retry.coolDown },
  };
}
