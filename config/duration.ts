// A duration of the config. Read to milliseconds.
import { z } from 'zod';
import { parseDuration } from '../lib/duration.ts';

/** A duration as text; its value is whole milliseconds. */
export const duration = (byDefault: string) =>
  z
    .string()
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms !== undefined) return ms;
      context.addIssue({ code: 'custom', message: 'a duration such as 30s, 5m or 1h' });
      return z.NEVER;
    })
    .prefault(byDefault);
