// The routes of migrations: what is shown of one, and who may say what to it.
import { Hono } from 'hono';
import { beforeEach, describe, expect, it } from 'vitest';
import { migrationRoutes } from '../../../admin/migrations.ts';
import type { MigrationDeps } from '../../../admin/migrations.ts';
import type { MigrationJson } from '../../../admin/types-migration.ts';
import { migrationLine, migrationText } from '../../../cli/migration-view.ts';
import { paint } from '../../../cli/paint.ts';
import { MIGRATION_NOT_FOUND, MIGRATION_REFUSED } from '../../../migration/errors.ts';
import type { MigrationReport } from '../../../model/migration-state.ts';
import { EMPTY_SNAPSHOT } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';

const REPORT: MigrationReport = {
  spec: {
    service: 'orders.default',
    from: 'consul-dc1',
    to: 'k8s',
    steps: [
      { percent: 10, forMs: 60_000, approval: 'none' },
      { percent: 100, forMs: 0, approval: 'manual' },
    ],
    gates: { readyCapacity: 0.8, identity: 'strict' },
    onFailure: 'rollback',
    after: [],
    freeze: [],
    retry: { max: 0, coolDownMs: 0 },
  },
  origin: 'Migration orders (m.yaml:4)',
  state: {
    phase: 'stepping',
    step: 0,
    since: Date.UTC(2026, 0, 2),
    percent: 7,
    attempt: 1,
    reason: 'step 1 of 2',
    by: '',
    verdicts: [],
    sides: 'consul-dc1 → k8s',
  },
  revision: 'r-1',
  waitsFor: 'not enough traffic',
  verdicts: [{ gate: 'successRate', verdict: 'wait', text: 'not enough traffic', numbers: { requests: 3 } }],
  measured: { fromRequests: 95, toRequests: 5, fromErrors: 0, toErrors: 1, percent: 5, sinceMs: 2_000 },
  controller: '',
};

let app: Hono;
let said: unknown[];

beforeEach(() => {
  said = [];
  app = new Hono();
  const deps: MigrationDeps = {
    snapshot: () => EMPTY_SNAPSHOT,
    mayWrite: () => Promise.resolve(undefined),
    log: createLogger('silent'),
    migrations: {
      reports: () => [REPORT],
      obey(service, wish) {
        said.push([service, wish]);
        if (service !== 'orders.default') return Promise.reject(MIGRATION_NOT_FOUND(service));
        if (wish.verb === 'approve') return Promise.reject(MIGRATION_REFUSED(service, 'no sense'));
        return Promise.resolve(REPORT);
      },
    },
  };
  migrationRoutes(app, deps);
});

const post = (path: string, body: object = {}, type = 'application/json') =>
  app.request(`/api/v1/migrations/${path}`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: JSON.stringify(body),
  });

describe('/api/v1/migrations', () => {
  it('shows all, and one by any of its names', async () => {
    const { items } = (await (await app.request('/api/v1/migrations')).json()) as { items: MigrationJson[] };
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({
      service: 'orders.default',
      phase: 'stepping',
      step: 1,
      share: 0.07,
      wantedShare: 0.1,
      measured: { share: 0.05, toRequests: 5, seconds: 2 },
      since: '2026-01-02T00:00:00.000Z',
      waitsFor: 'not enough traffic',
    });
    const one = await app.request('/api/v1/migrations/orders');
    expect(await one.json()).toEqual(items[0]);
    expect((await app.request('/api/v1/migrations/other')).status).toBe(404);
  });

  it('takes what an operator says, and says why not', async () => {
    const answer = await post('orders/pause', { by: 'ada', reason: 'lunch' });
    expect([answer.status, ((await answer.json()) as MigrationJson).service]).toEqual([
      200,
      'orders.default',
    ]);
    expect(said).toEqual([['orders.default', { verb: 'pause', by: 'ada', reason: 'lunch' }]]);
    expect((await post('orders/approve')).status).toBe(409);
    expect((await post('other/pause')).status).toBe(404);
    expect((await post('orders/explode')).status).toBe(404);
    expect((await post('orders/pause', {}, 'text/plain')).status).toBe(415);
  });

  it('is shown in words', async () => {
    const json = (await (await app.request('/api/v1/migrations/orders')).json()) as MigrationJson;
    expect(migrationLine(json)).toBe('orders.default: stepping 1/2, 7% of the traffic on k8s: step 1 of 2');
    const page = migrationText(json, paint(false));
    expect(page).toContain('Share       7% told, 10% wanted, 5% measured');
    expect(page).toContain('consul-dc1 95 (0 failed), k8s 5 (1 failed) in 2 s');
    expect(page).toContain('wait  successRate    not enough traffic');
  });
});
