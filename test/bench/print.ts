// The report as text: what people read on the terminal and paste into docs/performance.md.
import { spread } from './compare.ts';
import type { Machine } from './machine.ts';
import type { SelfTime } from './profile.ts';
import type { GoalResult, Row, RowResult } from './types.ts';

export function machineText(m: Machine): string {
  return [
    `${m.date}  ${m.cpu}, ${m.cores} cores, ${m.memoryGib} GiB, Linux ${m.kernel}, Node ${m.node}`,
    `load average ${m.loadAverage.join(' ')}; ${m.pinning}`,
  ].join('\n');
}

/** One line per peer, min/median per metric, and the ratio of the minimum to our own. */
export function rowText(row: Row, result: RowResult, repetitions: number): string {
  const peers = Object.entries(result.peers);
  const head = ['peer', ...row.metrics.map((m) => m.title)];
  const lines = peers.map(([name, { version, samples }]) => [
    version === '' ? name : `${name} (${version})`,
    ...row.metrics.map((metric) => {
      const found = spread(samples, metric.key);
      if (!found) return '-';
      const own = spread(result.peers[row.own]?.samples ?? [], metric.key);
      const values = `${found.min.toFixed(metric.digits)} / ${found.median.toFixed(metric.digits)}`;
      return metric.bare === true || name === row.own || !own || found.min === 0
        ? values
        : `${values} (${ratio(own.min / found.min)})`;
    }),
  ]);
  return [
    '',
    `## ${row.name}: ${row.title}`,
    `min / median of ${repetitions} repetitions (${row.own} ÷ this peer, of the minimums); ` +
      `${result.seconds.toFixed(0)} s, load average ${result.loadAverage.join(' ')}`,
    '',
    ...table([head, ...lines]),
    ...result.skipped.map(({ peer, reason }) => `skipped: ${peer}: ${reason}`),
    '',
    ...result.goals.map(
      (goal) =>
        `goal: ${goal.text} <= ${told(goal, goal.atMost)}: ` +
        (goal.ratio === undefined
          ? 'not measured'
          : `${told(goal, goal.ratio)} ${goal.met === true ? 'met' : 'missed'}`),
    ),
  ].join('\n');
}

export function profileText(name: string, top: readonly SelfTime[]): string {
  if (top.length === 0) return `no profile of ${name} was written`;
  return [
    `self time of ${name}, of all time that was not idle (start included):`,
    ...top.map(
      ({ where, share, ms }) =>
        `${(share * 100).toFixed(1).padStart(6)} %  ${ms.toFixed(0).padStart(6)} ms  ${where}`,
    ),
  ].join('\n');
}

const told = ({ absolute }: GoalResult, value: number): string =>
  absolute ? value.toFixed(value < 100 ? 2 : 0) : ratio(value);
const ratio = (value: number): string => `${value < 0.1 ? value.toFixed(3) : value.toFixed(2)}x`;

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...body.map(line)];
}
