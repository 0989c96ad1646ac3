// `/api/v1/load`: what data planes report of their requests.
import type { Context, Hono } from 'hono';
import { parseDuration } from '../lib/duration.ts';
import type { Clock } from '../lib/clock.ts';
import { percentileMs } from '../model/latency.ts';
import type { Latency } from '../model/latency.ts';
import type { LoadReports, LoadRow } from '../model/load.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import { ADMIN_NOT_FOUND, ADMIN_WINDOW } from './errors.ts';
import { rfc3339 } from './reasons.ts';
import { refuse } from './refuse.ts';
import type { LatencyJson, LoadJson } from './types.ts';
import { findService } from './views.ts';

export interface LoadDeps {
  readonly snapshot: () => FederationSnapshot;
  readonly load: LoadReports;
  readonly clock: Clock;
}

const MAX_WINDOW_MS = 600_000;

export function loadRoutes(app: Hono, deps: LoadDeps): void {
  app.get('/api/v1/load', (c) => loadOf(c, deps));
}

/** Query: `service`, `node`, `window` (default 1m, at most 10m), `by=node` for a row per node. */
function loadOf(c: Context, deps: LoadDeps) {
  const windowMs = parseDuration(c.req.query('window') ?? '1m');
  if (windowMs === undefined || windowMs === 0 || windowMs > MAX_WINDOW_MS)
    return refuse(c, 400, ADMIN_WINDOW());
  const named = c.req.query('service');
  const service = named === undefined ? undefined : findService(deps.snapshot(), named)?.service;
  if (named !== undefined && service === undefined)
    return refuse(c, 404, ADMIN_NOT_FOUND(`service ${named}`));
  const query = { windowMs, service, node: c.req.query('node'), byNode: c.req.query('by') === 'node' };
  return c.json({ items: deps.load.rows(query).map(loadJson) });
}

export function loadJson(row: LoadRow): LoadJson {
  const ended = row.successes + row.errors;
  const seconds = row.coveredMs / 1000;
  return {
    service: row.service,
    cluster: row.cluster,
    side: row.side,
    locality: row.locality,
    node: row.node,
    reporters: row.reporters,
    successes: row.successes,
    errors: row.errors,
    issued: row.issued,
    dropped: row.dropped,
    inProgress: row.inProgress,
    successRate: ended === 0 ? null : row.successes / ended,
    requestsPerSecond: seconds === 0 ? null : row.issued / seconds,
    coveredSeconds: seconds,
    lastReport: rfc3339(row.lastReport),
    latency: latencyJson(row.latency),
  };
}

function latencyJson(latency: Latency | undefined): LatencyJson | null {
  const p50 = percentileMs(latency, 0.5);
  const p99 = percentileMs(latency, 0.99);
  if (!latency || p50 === undefined || p99 === undefined) return null;
  const { samples, reporters } = latency;
  return { p50Seconds: p50 / 1000, p99Seconds: p99 / 1000, samples, reporters };
}
