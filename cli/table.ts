// Tables in the manner of kubectl: bare columns, three spaces between them, no boxes. Pure.
import type { Colour, Pen } from './paint.ts';

export interface Column<T> {
  readonly title: string;
  text(row: T): string;
  /** Instead of `text` in `-o wide`. */
  readonly wide?: (row: T) => string;
  colour?(row: T): Colour | undefined;
}

/** Ends with a newline; '' cells show as `-`, so that columns can be cut by white space. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], pen: Pen): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.text(row)) || '-'));
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)),
  );
  const last = columns.length - 1;
  const pad = (text: string, i: number) => (i === last ? text : text.padEnd((widths[i] ?? 0) + 3));
  const lines = [columns.map(({ title }, i) => pad(title, i)).join('')];
  cells.forEach((row, r) => {
    const source = rows[r] as T;
    const parts = row.map((text, i) => {
      const colour = columns[i]?.colour?.(source);
      const padding = ' '.repeat(pad(text, i).length - text.length);
      return colour ? pen(colour, text) + padding : text + padding;
    });
    lines.push(parts.join(''));
  });
  return `${lines.join('\n')}\n`;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** `12s`, `3m`, `3m20s`, `5h`, `2d`: as kubectl shows ages. */
export function age(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s}s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 10) return s % 60 === 0 ? `${minutes}m` : `${minutes}m${s % 60}s`;
  if (minutes < 120) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}

/** Age of an RFC 3339 time; '' for null. */
export function ageOf(time: string | null, nowMs: number): string {
  return time === null ? '' : age((nowMs - Date.parse(time)) / 1000);
}

export function percent(share: number): string {
  return share === 0 ? '0%' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)}%`;
}
