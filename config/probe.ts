// How the control plane's own prober pings, as it is written. All durations are milliseconds once read.
import { z } from 'zod';
import { duration } from './duration.ts';

const positive = (byDefault: string) => duration(byDefault).refine((ms) => ms > 0, 'a duration above 0');

export const probe = z
  .strictObject({
    enabled: z.boolean().default(true),
    /** From one ping of an endpoint to the next. */
    interval: positive('10s'),
    timeout: positive('2s'),
    /** Pings under way at once. */
    concurrency: z.int().min(1).max(1_000).default(64),
    /** Pings begun in a second. */
    perSecond: z.int().min(1).max(10_000).default(500),
    /** Of endpoints that do not say their own. */
    path: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, 'a path such as /healthz')
      .default('/healthz'),
    /** Networks that the control plane is in; '' is the default one. */
    networks: z.array(z.string()).default(['']),
  })
  .prefault({});
