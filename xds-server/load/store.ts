// Load reports of all data planes, kept per cluster, locality and node. Holds what was reported within the
// longest window and forgets the rest; what is said of clusters that nobody was told of never comes here.
import type { Clock } from '../../lib/clock.ts';
import type { Locality } from '../../model/endpoint.ts';
import { addLatency } from '../../model/latency.ts';
import type { LoadCounts, LoadQuery, LoadReports, LoadRow } from '../../model/load.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { LoadWindow, MAX_WINDOW_MS } from './window.ts';

/** What one report says of one locality of a cluster. */
export interface LoadReport extends LoadCounts {
  readonly cluster: string;
  readonly locality: Locality;
  readonly inProgress: number;
  /** The time that the report is about, ms. */
  readonly intervalMs: number;
}

export interface LoadStoreOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** The sources that speak of a service; a sub-zone that begins with one of them is a side. */
  sourcesOf(service: string): readonly string[];
}

/** Clusters × localities × nodes that are remembered at most: localities are the clients' own words. */
const MAX_SERIES = 500_000;
const SWEEP_MS = 60_000;

interface Series {
  readonly cluster: string;
  readonly locality: Locality;
  readonly node: string;
  readonly window: LoadWindow;
  inProgress: number;
  /** Beginning of the time that reports are about; monotonic ms. */
  readonly since: number;
  /** Monotonic ms. */
  last: number;
}

export class LoadStore implements LoadReports {
  readonly #o: LoadStoreOptions;
  readonly #series = new Map<string, Series>();
  #sweptAt: number;

  constructor(options: LoadStoreOptions) {
    this.#o = options;
    this.#sweptAt = options.clock.monotonic();
  }

  add(node: string, report: LoadReport): void {
    const now = this.#o.clock.monotonic();
    if (now - this.#sweptAt > SWEEP_MS) this.#sweep(now);
    const series = this.#seriesOf(node, report, now);
    if (!series) return this.#o.metrics.load.ignored.inc();
    series.window.add(report, now);
    series.inProgress = report.inProgress;
    series.last = now;
    const source = this.#sideOf(series);
    const count = (outcome: string, value: number) =>
      value > 0 && this.#o.metrics.load.requests.inc({ source, outcome }, value);
    count('success', report.successes);
    count('error', report.errors);
    count('dropped', report.dropped);
  }

  rows({ windowMs, service, node, byNode = false }: LoadQuery): readonly LoadRow[] {
    const now = this.#o.clock.monotonic();
    this.#sweep(now);
    const window = Math.min(windowMs, MAX_WINDOW_MS);
    const rows = new Map<string, LoadRow>();
    for (const series of this.#series.values()) {
      if (node !== undefined && series.node !== node) continue;
      if (service !== undefined && serviceOfCluster(series.cluster) !== service) continue;
      if (now - series.last > window) continue;
      const of = byNode ? series.node : '';
      const key = keyOf(series.cluster, series.locality, of);
      const own = this.#row(series, of, now, window);
      const sum = rows.get(key);
      rows.set(key, sum ? added(sum, own) : own);
    }
    return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  #row(series: Series, node: string, now: number, windowMs: number): LoadRow {
    const { cluster, locality, window, inProgress, since, last } = series;
    return {
      service: serviceOfCluster(cluster),
      cluster,
      side: this.#sideOf(series),
      locality,
      node,
      ...window.sum(now, windowMs),
      reporters: 1,
      inProgress,
      coveredMs: Math.min(windowMs, now - since),
      lastReport: this.#o.clock.now() - (now - last),
    };
  }

  /** The source of a pinned cluster, the one that begins the sub-zone, or the only one there is. */
  #sideOf({ cluster, locality }: Series): string {
    const at = cluster.indexOf('@');
    if (at >= 0) return cluster.slice(at + 1);
    const sources = this.#o.sourcesOf(serviceOfCluster(cluster));
    const first = locality.subZone.split('/', 1)[0] ?? '';
    if (sources.includes(first)) return first;
    return sources.length === 1 ? (sources[0] ?? '') : '';
  }

  #seriesOf(node: string, { cluster, locality, intervalMs }: LoadReport, now: number): Series | undefined {
    const key = keyOf(cluster, locality, node);
    const known = this.#series.get(key);
    if (known || this.#series.size >= MAX_SERIES) return known;
    const { region, zone, subZone } = locality;
    const series: Series = {
      cluster,
      locality: { region, zone, subZone },
      node,
      window: new LoadWindow(),
      inProgress: 0,
      since: now - intervalMs,
      last: now,
    };
    this.#series.set(key, series);
    return series;
  }

  #sweep(now: number): void {
    this.#sweptAt = now;
    for (const [key, { last }] of this.#series) if (now - last > MAX_WINDOW_MS) this.#series.delete(key);
  }
}

function keyOf(cluster: string, { region, zone, subZone }: Locality, node: string): string {
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
    latency: addLatency(a.latency, b.latency),
  };
}
