// What a write may say, checked whole: all that is wrong with it is told at once. Pure.
import { z } from 'zod';
import { duration } from '../config/duration.ts';
import { formatPath } from '../config/problems.ts';
import { describeError } from '../lib/errors.ts';
import { MAX_OVERRIDE_MS } from '../model/rules.ts';
import { ADMIN_BODY } from './errors.ts';

/** What reaches journals and terminals. */
export const printable = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^\P{C}*$/u, 'text without control characters');

/** How long an override lasts: 1s to 30d, 1h when nothing is said. */
export const overrideDuration = duration('1h').refine(
  (ms) => ms >= 1_000 && ms <= MAX_OVERRIDE_MS,
  'a duration from 1s to 30d',
);

export const overrideBody = z
  .strictObject({
    drain: z.literal(true).exactOptional(),
    /** In place of the registry's. */
    weight: z.int().min(0).max(1_000_000).exactOptional(),
    /** Beside and in place of the sources'. */
    labels: z
      .record(printable(253).min(1), printable(1_024))
      .refine((labels) => Object.keys(labels).length <= 64, 'at most 64 labels')
      .exactOptional(),
    for: overrideDuration,
    reason: printable(500).default(''),
    /** Who asks; believed, as the token is one for all. */
    by: printable(200).default(''),
  })
  .refine(
    ({ drain, weight, labels }) => drain ?? (weight !== undefined || Object.keys(labels ?? {}).length > 0),
    'one of drain, weight and labels',
  );

export const removalBody = z.strictObject({ by: printable(200).default('') });

/** Of every issue: `field: what is wrong`. */
export const problemsOf = (error: z.ZodError): string =>
  error.issues
    .map(({ path, message }) => {
      const field = formatPath(path.map((part) => (typeof part === 'symbol' ? part.toString() : part)));
      return field === '' ? message : `${field}: ${message}`;
    })
    .join('; ');

/** @throws ISTHMUS_ADMIN_BODY */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw ADMIN_BODY(`no JSON: ${describeError(thrown)}`);
  }
}
