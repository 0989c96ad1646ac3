// From samples to minimums, medians, ratios and verdicts. Pure.
import type { Goal, GoalResult, RowResult, Sample } from './types.ts';

export interface Spread {
  readonly min: number;
  readonly median: number;
}

/** undefined when no sample has the metric. */
export function spread(samples: readonly Sample[], metric: string): Spread | undefined {
  const values = samples.flatMap((sample) => sample[metric] ?? []).sort((a, b) => a - b);
  const min = values[0];
  const median = values[(values.length - 1) >> 1];
  return min === undefined || median === undefined ? undefined : { min, median };
}

export function judge(goal: Goal, peers: RowResult['peers']): GoalResult {
  const least = (peer: string) => spread(peers[peer]?.samples ?? [], goal.metric)?.min;
  const base = goal.less === undefined ? 0 : least(goal.less);
  const absolute = goal.to === undefined;
  const [of, to] = [least(goal.of), goal.to === undefined ? 1 : least(goal.to)];
  const { text, atMost } = goal;
  if (of === undefined || to === undefined || base === undefined || to - base <= 0) {
    return { text, atMost, absolute, ratio: undefined, met: undefined };
  }
  const ratio = (of - base) / (to - base);
  return { text, atMost, absolute, ratio, met: ratio <= atMost };
}
