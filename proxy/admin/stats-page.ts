// /stats and /stats/prometheus, with Envoy's questions: filter, usedonly, format.
import { collect } from './collect.ts';
import type { Page } from './page.ts';
import { json, text } from './page.ts';
import { dotted, prometheusText } from './stat-set.ts';
import type { Stat } from './stat-set.ts';
import type { ProxyState } from './state.ts';

/** Counters at the last reset, by name. */
export type Baseline = ReadonlyMap<string, number>;

export function baselineOf(state: ProxyState): Baseline {
  const counters = [...collect(state).all].filter(([, stat]) => !stat.gauge);
  return new Map(counters.map(([name, { value }]): [string, number] => [name, value]));
}

/** @param format of the path; `?format=` beats it. */
export function statsPage(
  state: ProxyState,
  query: URLSearchParams,
  baseline: Baseline,
  format: 'text' | 'prometheus' = 'text',
): Page {
  const filter = filterOf(query.get('filter') ?? '');
  if (!filter) return text('filter is no regular expression\n', 400);
  const asked = query.get('format') ?? format;
  const usedOnly = query.has('usedonly');
  const set = collect(state);
  const wanted = [...set.all]
    .map(([name, stat]): [string, Stat] => [
      name,
      { ...stat, value: Math.max(0, stat.value - (baseline.get(name) ?? 0)) },
    ])
    .filter(([name, { value }]) => filter.test(name) && !(usedOnly && value === 0));
  switch (asked) {
    case 'text':
      return text(
        wanted
          .map(([name, { value }]) => `${name}: ${value}\n`)
          .sort()
          .join(''),
      );
    case 'json':
      return json({ stats: wanted.map(([name, { value }]) => ({ name, value })) });
    case 'prometheus': {
      const shown = wanted.map(([, stat]) => stat).filter(({ own }) => !own || query.has('isthmus'));
      const timed = set.timed.filter((stat) => filter.test(dotted(stat)));
      return { ...text(prometheusText(shown, timed)), type: 'text/plain; version=0.0.4; charset=utf-8' };
    }
    default:
      return text('usage: /stats?format=(text|json|prometheus)\n', 400);
  }
}

function filterOf(pattern: string): RegExp | undefined {
  try {
    return new RegExp(pattern);
  } catch {
    return undefined;
  }
}
