// The fields that say how a source's endpoints are kept when it does not answer, suddenly lists much less, or
// flaps. The aggregator carries them out; all durations are milliseconds once read.
import { z } from 'zod';
import { duration } from './duration.ts';

/** A source that suddenly lists much less is not believed at once. */
export const guardFields = (confirmAfter: string) =>
  z
    .strictObject({
      maxRemovalRatio: z.number().min(0).max(1).default(0.5),
      window: duration('30s'),
      confirmAfter: duration(confirmAfter),
      minEndpoints: z.int().min(1).default(5),
      /** Only report. */
      shadow: z.boolean().default(false),
    })
    .prefault({});

export const keepingFields = {
  /** What callers get of a source that does not answer. */
  onLost: z.enum(['hold', 'drain', 'drop']).default('hold'),
  /** For so long after its last proof of life an endpoint of a dark source is trusted. */
  holdFor: duration('30m'),
  /** What then becomes of the last endpoints of a service. */
  onHoldEnd: z.enum(['keep-last', 'remove']).default('keep-last'),
  guard: guardFields('30s'),
  /** The weight of endpoints that flap is lowered. */
  damping: z
    .strictObject({
      enabled: z.boolean().default(true),
      halfLife: duration('5m').refine((ms) => ms > 0, 'a duration above 0'),
      /** Flaps, of which half are forgotten per half-life. */
      suppress: z.number().min(1).default(5),
      reuse: z.number().gt(0).default(2),
      /** Only report. */
      shadow: z.boolean().default(false),
    })
    .refine(({ suppress, reuse }) => reuse < suppress, 'reuse below suppress')
    .prefault({}),
  /** For so long the weight of a new endpoint grows. 0: not at all. */
  warmUp: duration('0'),
  /** Failed pings that refute a held endpoint. */
  fall: z.int().min(1).default(3),
};

export type Keeping = z.infer<z.ZodObject<typeof keepingFields>>;
