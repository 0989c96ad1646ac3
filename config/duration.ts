// How a config writes time: "500ms", "30s", "5m", "12h", "7d". Read to milliseconds.
import { z } from 'zod';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

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

/** undefined when it is not a number ≥ 0 with one of the units ms, s, m, h, d. `0` needs none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (number === undefined || unit === undefined) return undefined;
  return Math.round(Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS]);
}
