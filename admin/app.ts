// The routes of the admin API. Read-only but for overrides and resources; knows the stages only by the functions it is given.
import { Hono } from 'hono';
import type { Context } from 'hono';
import type { Clock } from '../lib/clock.ts';
import { IsthmusError } from '../lib/errors.ts';
import type { Change } from '../model/change.ts';
import { serviceName } from '../model/names.ts';
import type { LoadReports } from '../model/load.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { heldPage, identityPage } from './debug-held.ts';
import type { Around } from './debug-held.ts';
import {
  ADMIN_BODY,
  ADMIN_HOST,
  ADMIN_INTERNAL,
  ADMIN_METHOD,
  ADMIN_NOT_FOUND,
  ADMIN_NO_JOURNAL,
  ADMIN_ORIGIN,
  ADMIN_TIME,
} from './errors.ts';
import { explain } from './explain/answer.ts';
import type { Explainer } from './explain/types.ts';
import { changeJson, pastJson } from './history.ts';
import type { Past } from './history.ts';
import { hostAllowed, originAllowed } from './guard.ts';
import { loadRoutes } from './load.ts';
import { MIGRATION_PATH, migrationRoutes } from './migrations.ts';
import type { MigrationDeps } from './migrations.ts';
import { OVERRIDE_PATH, overrideRoutes } from './overrides.ts';
import { RESOURCE_PATH, resourceRoutes } from './resources.ts';
import type { ResourceDesk } from './resources.ts';
import type { OverrideDeps } from './overrides.ts';
import { readinessRoutes } from './readiness.ts';
import type { ReadinessDeps } from './readiness.ts';
import { readinessText } from './ready.ts';
import type { Readiness } from './ready.ts';
import { RETIREMENT_PATH, retirementRoutes } from './retirement.ts';
import type { RetirementDeps } from './retirement.ts';
import { DIFF_PATH, previewRoutes } from './preview.ts';
import type { PreviewDeps } from './preview.ts';
import { refuse } from './refuse.ts';
import { syncz } from './syncz.ts';
import { endpointsJson, findService, proxyJson, serviceJson, servicesInOrder, sourceJson } from './views.ts';

/** What is known of the past of a service, by its canonical name. Times are milliseconds since the epoch. */
export interface History {
  changes(service: string, since: number): Promise<readonly Change[]>;
  at(service: string, at: number): Promise<Past>;
}

export interface AdminDeps extends OverrideDeps, PreviewDeps, ReadinessDeps, MigrationDeps, RetirementDeps {
  readonly resources: ResourceDesk;
  /** undefined: no journal is kept. */
  readonly history?: History | undefined;
  readonly proxies: () => readonly ProxyStatus[];
  /** The xDS resources held, decoded; of one node only when it is named. */
  readonly configDump: (node?: string) => unknown;
  /** The assignments of that alone. */
  readonly endpointsDump: (node?: string) => unknown;
  /** What data planes report of their requests. */
  readonly load: LoadReports;
  readonly ready: () => Readiness;
  readonly explain: Explainer;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** @param listenHost as configured: a Host header that is allowed beside addresses and localhost. */
export function adminApp(deps: AdminDeps, listenHost: string): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    const host = c.req.header('host');
    const origin = c.req.header('origin');
    if (!hostAllowed(host, listenHost)) return refuse(c, 403, ADMIN_HOST(host ?? ''));
    if (!originAllowed(origin, host)) return refuse(c, 403, ADMIN_ORIGIN(origin ?? ''));
    const allowed = methodsAt(c.req.path);
    if (!allowed.includes(c.req.method)) {
      c.header('allow', allowed.join(', '));
      return refuse(c, 405, ADMIN_METHOD(c.req.method));
    }
    c.header('cache-control', 'no-store');
    c.header('x-content-type-options', 'nosniff');
    await next();
  });
  healthRoutes(app, deps);
  apiRoutes(app, deps);
  loadRoutes(app, deps);
  overrideRoutes(app, deps);
  resourceRoutes(app, deps);
  previewRoutes(app, deps);
  readinessRoutes(app, deps);
  migrationRoutes(app, deps);
  retirementRoutes(app, deps);
  debugRoutes(app, deps);
  app.notFound((c) => refuse(c, 404, ADMIN_NOT_FOUND(`page ${c.req.path}`)));
  app.onError((error, c) => {
    if (error instanceof IsthmusError && error.code === ADMIN_BODY.code) return refuse(c, 400, error);
    deps.log.error({ err: error, path: c.req.path }, 'admin request failed');
    return refuse(c, 500, error instanceof IsthmusError ? error : ADMIN_INTERNAL());
  });
  return app;
}

const pathTest = (path: string): RegExp => new RegExp(`^${path.replace(/:[a-z]+/g, '[^/]+')}$`);

const OVERRIDES = pathTest(OVERRIDE_PATH);
const RESOURCES = pathTest(RESOURCE_PATH);
const MIGRATIONS = pathTest(MIGRATION_PATH);
const RETIREMENT = pathTest(RETIREMENT_PATH);

function methodsAt(path: string): readonly string[] {
  if (path === DIFF_PATH) return ['POST'];
  if (MIGRATIONS.test(path)) return ['POST'];
  if (RETIREMENT.test(path)) return ['GET', 'HEAD', 'POST'];
  if (OVERRIDES.test(path)) return ['PUT', 'DELETE'];
  return RESOURCES.test(path) ? ['GET', 'HEAD', 'PUT', 'DELETE'] : ['GET', 'HEAD'];
}

function healthRoutes(app: Hono, deps: AdminDeps): void {
  app.get('/healthz', (c) => c.text('ok\n'));
  app.get('/readyz', (c) => {
    const report = deps.ready();
    const verbose = c.req.query('verbose') !== undefined;
    // Like kube-apiserver: a failing check explains itself even when not asked to.
    const text = verbose || !report.ready ? readinessText(report) : 'ok\n';
    return c.text(text, report.ready ? 200 : 503);
  });
  app.get('/metrics', async (c) => {
    const { registry } = deps.metrics;
    return c.body(await registry.metrics(), 200, { 'content-type': registry.contentType });
  });
}

function apiRoutes(app: Hono, deps: AdminDeps): void {
  app.get('/api/v1/sources', (c) => {
    const now = deps.clock.now();
    return c.json({ items: [...deps.snapshot().sources.values()].map((source) => sourceJson(source, now)) });
  });
  app.get('/api/v1/services', (c) =>
    c.json({
      items: servicesInOrder(deps.snapshot()).map((shards) => serviceJson(shards, deps.snapshot().sources)),
    }),
  );
  app.get('/api/v1/services/:name/endpoints', (c) => endpointsOf(c, deps, c.req.param('name')));
  app.get('/api/v1/services/:name/history', (c) => historyAnswer(c, deps, c.req.param('name')));
  app.get('/api/v1/services/:name/explain', (c) => explained(c, deps, c.req.param('name')));
  app.get('/api/v1/endpoints', (c) => {
    const service = c.req.query('service');
    if (service !== undefined) return endpointsOf(c, deps, service);
    const snapshot = deps.snapshot();
    const now = deps.clock.now();
    const items = servicesInOrder(snapshot).flatMap((shards) => endpointsJson(shards, snapshot.sources, now));
    return c.json({ items });
  });
  app.get('/api/v1/proxies', (c) => proxiesOf(c, deps));
}

function debugRoutes(app: Hono, deps: AdminDeps): void {
  app.get('/debug/syncz', (c) => c.json(syncz(deps.proxies())));
  app.get('/debug/heldz', (c) => c.json(heldPage(asked(c, deps))));
  app.get('/debug/identityz', (c) => c.json(identityPage(asked(c, deps))));
  app.get('/debug/config_dump', (c) => dumped(c, deps, deps.configDump));
  app.get('/debug/edsz', (c) => dumped(c, deps, deps.endpointsDump));
}

/** @param c its query names a proxy: as `node`, or as Istio's pages call it, `proxyID`. */
function dumped(c: Context, deps: AdminDeps, dump: (node?: string) => unknown) {
  const node = c.req.query('node') ?? c.req.query('proxyID');
  if (node !== undefined && !deps.proxies().some((proxy) => proxy.node === node)) {
    return refuse(c, 404, ADMIN_NOT_FOUND(`proxy ${node}`));
  }
  const text = JSON.stringify(dump(node) ?? null, undefined, 2);
  return c.body(text, 200, { 'content-type': 'application/json' });
}

function asked(c: Context, deps: AdminDeps): Around {
  const snapshot = deps.snapshot();
  const name = c.req.query('service');
  const service = name === undefined ? undefined : (findService(snapshot, name)?.service ?? name);
  return { snapshot, notes: deps.explain.notes, source: c.req.query('source'), service };
}

function endpointsOf(c: Context, deps: AdminDeps, name: string) {
  const snapshot = deps.snapshot();
  const shards = findService(snapshot, name);
  if (!shards) return refuse(c, 404, ADMIN_NOT_FOUND(`service ${name}`));
  return c.json({ items: endpointsJson(shards, snapshot.sources, deps.clock.now()) });
}

async function historyAnswer(c: Context, deps: AdminDeps, name: string) {
  const { history } = deps;
  if (!history) return refuse(c, 404, ADMIN_NO_JOURNAL());
  // A service that is gone has a past, too: then it is asked for by its own name.
  const wanted = name.toLowerCase();
  const service =
    findService(deps.snapshot(), name)?.service ?? (wanted.includes('.') ? wanted : serviceName(wanted));
  const [since, at] = [timeOf(c.req.query('since')), timeOf(c.req.query('at'))];
  if (Number.isNaN(since) || Number.isNaN(at)) return refuse(c, 400, ADMIN_TIME());
  if (at !== undefined) {
    const past = await history.at(service, at);
    return c.json({ items: pastJson(past) });
  }
  return c.json({ items: (await history.changes(service, since ?? 0)).map(changeJson) });
}

/** undefined when not asked, NaN when it is no time. */
function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

function explained(c: Context, deps: AdminDeps, name: string) {
  const context = { ...deps.explain, snapshot: deps.snapshot(), now: deps.clock.now() };
  try {
    return c.json(explain(name, c.req.query('address'), context));
  } catch (thrown) {
    if (thrown instanceof IsthmusError && thrown.code === ADMIN_NOT_FOUND.code) return refuse(c, 404, thrown);
    throw thrown;
  }
}

function proxiesOf(c: Context, deps: AdminDeps) {
  const items = deps.proxies().map(proxyJson);
  return c.json({ items: items.sort((a, b) => (a.node < b.node ? -1 : 1)) });
}
