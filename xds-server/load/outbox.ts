// What data planes reported to this replica and other replicas have not been told: summed over nodes.
import type { SharedLoad } from '../../model/load.ts';
import { latencyOf } from '../../model/latency.ts';
import type { LoadReport } from './report.ts';

interface Sum {
  readonly of: LoadReport;
  successes: number;
  errors: number;
  issued: number;
  dropped: number;
  /** Requests under way, as each node said last. */
  readonly nodes: Map<string, number>;
  readonly timers: Set<string>;
  readonly times: Map<number, number>;
  samples: number;
}

export class Outbox {
  readonly #sums = new Map<string, Sum>();

  /** @param key of cluster and locality. */
  add(key: string, node: string, report: LoadReport): void {
    const sum = this.#sums.get(key) ?? empty(report);
    this.#sums.set(key, sum);
    sum.successes += report.successes;
    sum.errors += report.errors;
    sum.issued += report.issued;
    sum.dropped += report.dropped;
    // An access log does not know.
    sum.nodes.set(node, report.inProgress ?? sum.nodes.get(node) ?? 0);
    if (!report.times) return;
    sum.timers.add(node);
    sum.samples += report.times.samples;
    for (const [bucket, count] of report.times.counts)
      sum.times.set(bucket, (sum.times.get(bucket) ?? 0) + count);
  }

  take(): readonly SharedLoad[] {
    const taken = [...this.#sums.values()].map(sharedOf);
    this.#sums.clear();
    return taken;
  }
}

const empty = (of: LoadReport): Sum => ({
  of,
  successes: 0,
  errors: 0,
  issued: 0,
  dropped: 0,
  nodes: new Map(),
  timers: new Set(),
  times: new Map(),
  samples: 0,
});

function sharedOf({ of, nodes, timers, times, samples, ...counts }: Sum): SharedLoad {
  return {
    cluster: of.cluster,
    locality: of.locality,
    ...counts,
    inProgress: [...nodes.values()].reduce((sum, n) => sum + n, 0),
    reporters: nodes.size,
    ...(samples > 0 && { latency: latencyOf(times, samples, timers.size) }),
  };
}
