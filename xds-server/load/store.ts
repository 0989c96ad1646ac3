// Load reports of all data planes, kept per cluster, locality and node; how long requests took per cluster and
// locality. Holds what was reported within the longest window and forgets the rest; what is said of clusters
// that nobody was told of never comes here. What other replicas heard is kept in the same way.
import type { Clock } from '../../lib/clock.ts';
import type { Locality } from '../../model/endpoint.ts';
import type {
  LoadCounters,
  LoadExchange,
  LoadQuery,
  LoadReports,
  LoadRow,
  LoadTotal,
  SharedLoad,
} from '../../model/load.ts';
import { sourceOfSide } from '../../model/rules.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { LatencyWindow } from './latency-window.ts';
import type { Room } from './latency-window.ts';
import { Outbox } from './outbox.ts';
import type { LoadReport } from './report.ts';
import { spread } from './spread.ts';
import { LoadTotals } from './totals.ts';
import { LoadWindow, MAX_WINDOW_MS } from './window.ts';

export interface LoadStoreOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** The sources that speak of a service; a sub-zone that begins with one of them is a side. */
  sourcesOf(service: string): readonly string[];
  /** The side that some endpoints of one source are while they are a side of their own. */
  splitOf(service: string): string | undefined;
}

/** Clusters × localities × nodes that are remembered at most: localities are the clients' own words. */
const MAX_SERIES = 500_000;
/** Counts in buckets of all histograms together: 80 MB. */
const MAX_TIMES = 8_000_000;
const SWEEP_MS = 60_000;
/** Other replicas tell every 10 s. */
const LIVE_MS = 20_000;

interface Series {
  readonly cluster: string;
  readonly locality: Locality;
  /** `@` and a name for all nodes of another replica. */
  readonly node: string;
  readonly window: LoadWindow;
  readonly times: LatencyWindow;
  inProgress: number;
  /** Data planes in it. */
  reporters: number;
  /** Of them, those that told how long requests took … */
  timers: number;
  /** … and when; monotonic ms. */
  timedAt: number;
  /** Beginning of the time that reports are about; monotonic ms. */
  since: number;
  /** Monotonic ms. */
  last: number;
}

export class LoadStore implements LoadReports, LoadCounters {
  readonly #o: LoadStoreOptions;
  readonly #series = new Map<string, Series>();
  /** By cluster and locality. */
  readonly #times = new Map<string, LatencyWindow>();
  readonly #room: Room = { left: MAX_TIMES };
  #outbox: Outbox | undefined;
  /** Streams by node. */
  readonly #open = new Map<string, number>();
  readonly #totals = new LoadTotals();
  #sweptAt: number;

  constructor(options: LoadStoreOptions) {
    this.#o = options;
    this.#sweptAt = options.clock.monotonic();
  }

  add(node: string, report: LoadReport): void {
    const now = this.#o.clock.monotonic();
    const series = this.#take(node, report, now, report.intervalMs);
    if (!series) return;
    this.#outbox?.add(keyOf(report.cluster, report.locality), node, report);
    const source = this.#sideOf(series);
    const count = (outcome: string, value: number) =>
      value > 0 && this.#o.metrics.load.requests.inc({ source, outcome }, value);
    count('success', report.successes);
    count('error', report.errors);
    count('dropped', report.dropped);
  }

  /** From now on, what is reported here is kept for other replicas, too, until it is taken. */
  share(): LoadExchange {
    const outbox = (this.#outbox ??= new Outbox());
    return {
      take: () => outbox.take(),
      adopt: (replica, loads, agoMs) => {
        for (const load of loads) this.#adopt(`@${replica}`, load, agoMs);
      },
    };
  }

  /** A node has opened a stream; the returned function is called once, when it is over. */
  joined(node: string): () => void {
    const change = (by: number) => {
      const streams = (this.#open.get(node) ?? 0) + by;
      if (streams > 0) this.#open.set(node, streams);
      else this.#open.delete(node);
    };
    change(1);
    return () => change(-1);
  }

  reporters(): readonly string[] {
    return [...this.#open.keys()].sort();
  }

  rows({ windowMs, service, node, byNode = false }: LoadQuery): readonly LoadRow[] {
    const now = this.#o.clock.monotonic();
    this.#sweep(now);
    const window = Math.min(windowMs, MAX_WINDOW_MS);
    const rows = new Map<string, { row: LoadRow; timers: number; readonly times: LatencyWindow }>();
    for (const series of this.#series.values()) {
      if (node !== undefined && series.node !== node) continue;
      if (service !== undefined && serviceOfCluster(series.cluster) !== service) continue;
      if (now - series.last > window) continue;
      const of = byNode ? series.node : '';
      const key = keyOf(series.cluster, series.locality, of);
      const own = this.#row(series, of, now, window);
      const timers = now - series.timedAt > window ? 0 : series.timers;
      const sum = rows.get(key);
      if (!sum) rows.set(key, { row: own, timers, times: series.times });
      else {
        sum.row = added(sum.row, own);
        sum.timers += timers;
      }
    }
    const isWhole = node === undefined && !byNode;
    return [...rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { row, timers, times }]) => {
        const latency = isWhole ? times.sum(now, window, timers) : undefined;
        return latency ? { ...row, latency } : row;
      });
  }

  #adopt(node: string, load: SharedLoad, agoMs: number): void {
    const { latency } = load;
    const times = latency && {
      counts: new Map(latency.buckets.map((bucket, i) => [bucket, latency.counts[i] ?? 0])),
      samples: latency.samples,
    };
    const series = this.#take(node, { ...load, intervalMs: 0, times }, this.#o.clock.monotonic() - agoMs, 0);
    if (!series) return;
    series.reporters = load.reporters;
    if (latency) series.timers = latency.reporters;
  }

  /** @param at when it was reported; monotonic ms. */
  #take(node: string, report: LoadReport, at: number, intervalMs: number): Series | undefined {
    const now = this.#o.clock.monotonic();
    if (now - this.#sweptAt > SWEEP_MS) this.#sweep(now);
    const series = this.#seriesOf(node, report, at - intervalMs);
    if (!series) {
      this.#o.metrics.load.ignored.inc();
      return undefined;
    }
    // What another replica heard before this one was there is the past, and nothing that has just been counted.
    if (now - at <= LIVE_MS)
      this.#totals.add(serviceOfCluster(report.cluster), report.cluster, this.#sideOf(series), report);
    for (const part of spread(report, report.times, intervalMs, at)) {
      series.window.add(part.counts, part.at);
      if (part.times && !series.times.add(part.times, part.at)) this.#o.metrics.load.ignored.inc();
    }
    series.since = Math.min(series.since, at - intervalMs);
    if (report.times) series.timedAt = Math.max(series.timedAt, at);
    if (at >= series.last && report.inProgress !== undefined) series.inProgress = report.inProgress;
    series.last = Math.max(series.last, at);
    return series;
  }

  totals(service: string): readonly LoadTotal[] {
    return this.#totals.of(service);
  }

  #row(series: Series, node: string, now: number, windowMs: number): LoadRow {
    const { cluster, locality, window, inProgress, reporters, since, last } = series;
    return {
      service: serviceOfCluster(cluster),
      cluster,
      side: this.#sideOf(series),
      locality,
      node,
      ...window.sum(now, windowMs),
      reporters,
      inProgress,
      coveredMs: Math.min(windowMs, now - since),
      lastReport: this.#o.clock.now() - (now - last),
    };
  }

  /**
   * The source of a pinned cluster, the side that begins the sub-zone, or the only source there is. A sub-zone is the
   * client's own words: what is no side now counts for the source that it begins with, so that nobody makes up sides.
   */
  #sideOf({ cluster, locality }: Series): string {
    const at = cluster.indexOf('@');
    if (at >= 0) return cluster.slice(at + 1);
    const service = serviceOfCluster(cluster);
    const sources = this.#o.sourcesOf(service);
    const first = locality.subZone.split('/', 1)[0] ?? '';
    if (first === this.#o.splitOf(service)) return first;
    const source = sourceOfSide(first);
    if (sources.includes(source)) return source;
    return sources.length === 1 ? (sources[0] ?? '') : '';
  }

  #seriesOf(node: string, { cluster, locality }: LoadReport, since: number): Series | undefined {
    const key = keyOf(cluster, locality, node);
    const known = this.#series.get(key);
    if (known || this.#series.size >= MAX_SERIES) return known;
    const { region, zone, subZone } = locality;
    const place = keyOf(cluster, locality);
    const times = this.#times.get(place) ?? new LatencyWindow(this.#room);
    this.#times.set(place, times);
    const series: Series = {
      cluster,
      locality: { region, zone, subZone },
      node,
      window: new LoadWindow(),
      times,
      inProgress: 0,
      reporters: 1,
      timers: 1,
      timedAt: Number.NEGATIVE_INFINITY,
      since,
      last: Number.NEGATIVE_INFINITY,
    };
    this.#series.set(key, series);
    return series;
  }

  #sweep(now: number): void {
    this.#sweptAt = now;
    const used = new Set<LatencyWindow>();
    for (const [key, { last, times }] of this.#series) {
      if (now - last > MAX_WINDOW_MS) this.#series.delete(key);
      else used.add(times);
    }
    for (const [place, times] of this.#times) {
      times.sweep(used.has(times) ? now : Number.POSITIVE_INFINITY);
      if (!used.has(times)) this.#times.delete(place);
    }
  }
}

function keyOf(cluster: string, { region, zone, subZone }: Locality, node = ''): string {
  return [cluster, region, zone, subZone, node].join('\0');
}

/** The canonical service of a cluster's name: what is before its port, subset or source. */
export function serviceOfCluster(cluster: string): string {
  return cluster.split(/[:/@]/, 1)[0] ?? cluster;
}

function added(a: LoadRow, b: LoadRow): LoadRow {
  return {
    ...a,
    successes: a.successes + b.successes,
    errors: a.errors + b.errors,
    issued: a.issued + b.issued,
    dropped: a.dropped + b.dropped,
    reporters: a.reporters + b.reporters,
    inProgress: a.inProgress + b.inProgress,
    coveredMs: Math.max(a.coveredMs, b.coveredMs),
    lastReport: Math.max(a.lastReport, b.lastReport),
  };
}
