// `-o table|wide|json|yaml` for every command that lists things.
import type { Items } from '../admin/types.ts';
import { paint, wantsColour } from './paint.ts';
import { table } from './table.ts';
import type { Column } from './table.ts';

export const FORMATS = ['table', 'wide', 'json', 'yaml'] as const;

export type Format = (typeof FORMATS)[number];

export interface View<T> {
  readonly columns: readonly Column<T>[];
  /** Further columns of `-o wide`. */
  readonly wide: readonly Column<T>[];
  /** Said instead of an empty table. */
  readonly none: string;
}

export async function printItems<T>(items: readonly T[], view: View<T>, format: Format): Promise<void> {
  const list: Items<T> = { items };
  if (format === 'json' || format === 'yaml') return printData(list, format);
  if (items.length === 0) {
    process.stderr.write(`${view.none}\n`);
    return;
  }
  const columns = format === 'wide' ? wideColumns(view) : view.columns;
  write(table(columns, items, paint(wantsColour(process.stdout, process.env))));
}

export async function printData(data: object, format: 'json' | 'yaml'): Promise<void> {
  if (format === 'json') return write(`${JSON.stringify(data, undefined, 2)}\n`);
  write((await import('yaml')).stringify(data, { aliasDuplicateObjects: false }));
}

/** All columns, in their longer form where they have one. */
export function wideColumns<T>(view: View<T>): readonly Column<T>[] {
  const longer = (column: Column<T>): Column<T> => ({
    ...column,
    text: (row) => column.wide?.(row) ?? column.text(row),
  });
  return [...view.columns.map(longer), ...view.wide];
}

export function write(text: string): void {
  process.stdout.write(text);
}
