// What a ServicePolicy says for the service's sidecars, where they say nothing themselves: a template, so that what
// is the same for all of them stands in one place and changes while they run.
import { z } from 'zod';
import { APP_CHECKS } from '../model/sidecars.ts';
import type { AppCheck } from '../model/sidecars.ts';
import { parseDuration } from '../lib/duration.ts';

const MAX_LABELS = 64;
const text = z.string().min(1).max(512);

const labels = z
  .record(z.string().min(1).max(200), z.string().max(512))
  .refine((all) => Object.keys(all).length <= MAX_LABELS, `at most ${MAX_LABELS} labels`)
  .refine(
    (all) => !Object.keys(all).some((name) => name.startsWith('isthmus.dev/')),
    'labels that begin with isthmus.dev/ are set by Isthmus',
  );

const count = z
  .number()
  .refine((value) => Number.isInteger(value) && value >= 1 && value <= 100, 'a whole number, 1 to 100');

/** A duration, read to milliseconds. */
const between = (least: number, most: number) =>
  z.string().transform((said, context) => {
    const ms = parseDuration(said);
    if (ms !== undefined && ms >= least && ms <= most) return ms;
    context.addIssue({ code: 'custom', message: `a duration from ${least}ms to ${most / 1_000}s` });
    return z.NEVER;
  });

export const registrationFields = {
  registration: z
    .strictObject({
      labels: labels.optional(),
      region: text.optional(),
      zone: text.optional(),
      weight: z
        .number()
        .refine(
          (value) => Number.isInteger(value) && value >= 1 && value <= 65_535,
          'a whole number, 1 to 65535',
        )
        .optional(),
      protocol: text.optional(),
      healthPath: z
        .string()
        .regex(/^\/[\x21-\x7e]*$/, 'a path such as /healthz')
        .optional(),
      /** How sidecars look whether the app beside them is well. */
      check: z
        .strictObject({
          how: z.enum(APP_CHECKS).optional(),
          interval: between(100, 600_000).optional(),
          timeout: between(10, 600_000).optional(),
          rise: count.optional(),
          fall: count.optional(),
        })
        .transform(({ interval, timeout, ...rest }): Partial<AppCheck> => {
          const all = { ...rest, intervalMs: interval, timeoutMs: timeout };
          return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
        })
        .optional(),
    })
    .optional(),
};

export type RegistrationFields = z.infer<z.ZodObject<typeof registrationFields>>;
