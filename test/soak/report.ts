// The summary of a soak as text. Pure.
import type { Outcome } from './lane.ts';
import { columns, percentile, seconds } from './numbers.ts';
import type { Flatness } from './numbers.ts';

export interface SoakResult {
  readonly healed: ReadonlyMap<string, string>;
  readonly outcomes: readonly Outcome[];
  readonly memory: ReadonlyMap<string, Flatness>;
  readonly violations: readonly string[];
  readonly looks: number;
}

/** The time that is promised; lags beyond it are counted. */
export const PROMISED_MS = 5_000;

export function reportText(result: SoakResult): string {
  const kinds = [...result.healed.keys()];
  return [
    'what "healed" means: the registry itself, asked directly, answers the truth with',
    ...kinds.map((kind) => `  ${kind}: ${result.healed.get(kind) ?? ''}`),
    '',
    `lag from there to the catalogue (${result.looks} looks at it, each at all of it)`,
    lagTable('kind', result.outcomes, ({ kind }) => kind),
    '',
    'the same by what had happened, slowest first',
    lagTable(
      'what',
      result.outcomes,
      ({ kind, what }) => (what === 'changes' ? what : `${kind}: ${what}`),
      15,
    ),
    '',
    'the control plane itself: medians of the second and of the last quarter',
    columns([
      ['', 'second', 'last', 'at most', ''],
      ...[...result.memory].map(([name, { second, last, allowed, flat }]) => [
        name,
        second.toFixed(1),
        last.toFixed(1),
        allowed.toFixed(1),
        flat ? 'flat' : 'NOT FLAT',
      ]),
    ]),
    '',
    ...(result.violations.length === 0
      ? ['no violations']
      : [`${result.violations.length} violations`, ...result.violations.map((text) => `  ${text}`)]),
  ].join('\n');
}

function lagTable(
  title: string,
  outcomes: readonly Outcome[],
  groupOf: (outcome: Outcome) => string,
  most = Number.POSITIVE_INFINITY,
): string {
  const groups = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    const group = groupOf(outcome);
    groups.set(group, [...(groups.get(group) ?? []), outcome]);
  }
  const rows = [...groups]
    .map(([group, all]) => ({ group, all, worst: Math.max(...all.map(({ lagMs }) => lagMs)) }))
    .sort((a, b) => (most === Number.POSITIVE_INFINITY ? 0 : b.worst - a.worst))
    .slice(0, most);
  if (most === Number.POSITIVE_INFINITY) rows.push({ group: 'all', all: [...outcomes], worst: 0 });
  return columns([
    [title, 'changes', 'faults', 'seen dark', 'p50', 'p99', 'max', `> ${PROMISED_MS / 1_000} s`],
    ...rows.map(({ group, all }) => {
      const lags = all.map(({ lagMs }) => lagMs);
      return [
        group,
        String(all.reduce((sum, { changes }) => sum + changes, 0)),
        String(all.filter(({ what }) => what !== 'changes').length),
        String(all.filter(({ seenDark }) => seenDark).length),
        ...[0.5, 0.99, 1].map((share) => seconds(percentile(lags, share))),
        String(lags.filter((lag) => lag > PROMISED_MS).length),
      ];
    }),
  ]);
}
