// The running tally as text: rows that are redrawn on a terminal, one line elsewhere. Pure.
import type { Pen } from '../paint.ts';
import { age } from '../table.ts';
import type { Answered, Tally } from './traffic.ts';

const BAR_WIDTH = 24;

/** Many lines, for a terminal. Shares are of what came since `before`, so that a change shows at once. */
export function tallyBlock(tally: Tally, before: ReadonlyMap<string, number>, pen: Pen): readonly string[] {
  const rows = inOrder(tally).map((row) => ({ ...row, recent: row.count - (before.get(keyOf(row)) ?? 0) }));
  const totals = new Map<string, number>();
  for (const row of rows) totals.set(row.service, (totals.get(row.service) ?? 0) + row.recent);
  return rows.map((row) => {
    const share = row.recent / Math.max(1, totals.get(row.service) ?? 0);
    const bar = '█'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '·');
    const name = `${row.service.padEnd(10)}${row.instance.padEnd(7)}`;
    const colour = row.source === 'vms' ? 'yellow' : 'cyan';
    return `  ${name}${pen(colour, bar)} ${`${Math.round(share * 100)}%`.padStart(4)}  ${String(row.count).padStart(7)}`;
  });
}

/** One line, for a log. */
export function tallyLine(tally: Tally, seconds: number, pen: Pen): string {
  const who = inOrder(tally).map((row) => `${row.service}/${row.instance} ${row.count}`);
  return `${summary(tally, seconds, pen)} · ${who.join(', ')}`;
}

export function summary(tally: Tally, seconds: number, pen: Pen): string {
  const failed = `${tally.failed} failed`;
  const last = tally.failed > 0 ? ` (last: ${tally.lastFailure})` : '';
  return `${age(seconds)} · ${tally.requests} requests · ${pen(tally.failed > 0 ? 'red' : 'green', failed)}${last}`;
}

export const countsOf = (tally: Tally): ReadonlyMap<string, number> =>
  new Map([...tally.answers.values()].map((row) => [keyOf(row), row.count]));

const keyOf = (row: Pick<Answered, 'service' | 'instance'>): string => `${row.service} ${row.instance}`;

/** By service, virtual machines before pods, so that a line never jumps. */
function inOrder(tally: Tally): readonly Answered[] {
  const rank = (row: Answered) => `${row.service} ${row.source === 'vms' ? 0 : 1} ${row.instance}`;
  return [...tally.answers.values()].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}
