// Medians, percentiles, and whether memory is flat. Pure.

/** The smallest value that `share` of the values do not exceed (nearest rank); NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => percentile(values, 0.5);

export interface Flatness {
  /** Medians of the second and of the last quarter: the first one is for warming up. */
  readonly second: number;
  readonly last: number;
  readonly allowed: number;
  readonly flat: boolean;
}

/** @param margin what `last` may be above `second`: a share of it, and a fixed part, whichever is more. */
export function flatness(
  samples: readonly number[],
  margin: { readonly share: number; readonly fixed: number },
): Flatness {
  const quarter = Math.floor(samples.length / 4);
  const second = median(samples.slice(quarter, 2 * quarter));
  const last = median(samples.slice(samples.length - quarter));
  const allowed = second + Math.max(second * margin.share, margin.fixed);
  return { second, last, allowed, flat: quarter > 0 && last <= allowed };
}

/** The smallest of each `size` values in a row: of a heap, what is left after its collections. */
export function lows(samples: readonly number[], size: number): readonly number[] {
  return Array.from({ length: Math.floor(samples.length / size) }, (_, i) =>
    Math.min(...samples.slice(i * size, (i + 1) * size)),
  );
}

/** Columns of text, two spaces between them; the first to the left, the others to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  const pad = (cell: string, i: number) =>
    i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

export const seconds = (ms: number): string => (Number.isNaN(ms) ? '-' : `${(ms / 1_000).toFixed(2)} s`);
