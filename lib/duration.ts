// How people write time: "500ms", "30s", "5m", "12h", "7d".

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Whole milliseconds; undefined when it is not a number ≥ 0 with one of the units ms, s, m, h, d. `0` needs none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (number === undefined || unit === undefined) return undefined;
  return Math.round(Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS]);
}
