// What runs migrations: only what is written is gone by, of two that step one does, and a restart goes on.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Table } from '../../../aggregator/table/table.ts';
import { revisionOf } from '../../../aggregator/table/row.ts';
import { ManualClock, systemClock } from '../../../lib/clock.ts';
import { Migrations } from '../../../migration/controller.ts';
import type { MigrationDeps, StateStore } from '../../../migration/controller.ts';
import { textOfChange } from '../../../migration/events.ts';
import type { SideTotals } from '../../../migration/facts.ts';
import { Hook } from '../../../migration/hook.ts';
import { rulesDuring } from '../../../migration/rules.ts';
import { readState } from '../../../migration/state-json.ts';
import type { StoredState } from '../../../migration/state-json.ts';
import type { MigrationState } from '../../../model/migration-state.ts';
import type { MigrationSpec } from '../../../model/migration.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import { plainShard } from '../../../model/shard.ts';
import { NOTHING_MORE } from '../../../model/snapshot.ts';
import type { FederationSnapshot, SourceState } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { eventually } from '../../support/eventually.ts';

const log = createLogger('silent');

const SPEC: MigrationSpec = {
  service: 'orders.default',
  from: 'old',
  to: 'new',
  steps: [
    { percent: 10, forMs: 5_000, approval: 'none' },
    { percent: 100, forMs: 0, approval: 'none' },
  ],
  gates: {
    readyCapacity: 0.8,
    successRate: { minPercent: 99, windowMs: 10_000, minRequests: 100, onMissing: 'wait' },
    identity: 'strict',
  },
  onFailure: 'rollback',
  after: [],
  freeze: [],
  retry: { max: 0, coolDownMs: 10_000 },
};

const NONE = { successes: 0, errors: 0, issued: 0 };

let folder: string;
let clock: ManualClock;
let table: Table<StoredState>;
let totals: SideTotals;
let wanted: Map<string, { spec: MigrationSpec; origin: string }>;
let steps: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'isthmus-migrations-'));
  clock = new ManualClock(Date.UTC(2026, 0, 2));
  totals = { from: NONE, to: NONE, mirrored: NONE };
  wanted = new Map([[SPEC.service, { spec: SPEC, origin: 'Migration m' }]]);
  steps = [];
  table = await open();
});
afterEach(async () => {
  await table.close();
  await rm(folder, { recursive: true });
});

const open = () =>
  Table.open<StoredState>({
    table: 'migrations',
    file: join(folder, 'migrations.json'),
    clock,
    log,
    strict: true,
    decode: readState,
    onChange: () => undefined,
  });

function storeOf(of: Table<StoredState>): StateStore {
  return {
    now: () => of.now(),
    get(service) {
      const row = of.get(`x.${service}`);
      return row && { state: row.value.state, revision: revisionOf(row) };
    },
    services: () => of.list().map(({ value }) => value.service),
    async write(service, state, by, expected) {
      await of.write(`x.${service}`, () => ({ value: state && { service, state }, by }), expected);
    },
  };
}

function snapshot(ready = 4): FederationSnapshot {
  const endpoints = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({
      address: `10.0.${from}.${i}`,
      port: 80,
      portName: 'http',
      network: '',
      health: 'healthy' as const,
      weight: 1,
      labels: {},
      locality: { region: '', zone: '', subZone: '' },
    }));
  const group = (from: number, count: number) =>
    plainShard({
      service: SPEC.service,
      aliases: [],
      ports: [{ name: 'http', port: 80, protocol: 'http' }],
      primaryPort: 'http',
      endpoints: endpoints(from, count),
    });
  const source = (name: string): [string, SourceState] => [
    name,
    {
      name,
      kind: 'file',
      state: 'live',
      lastSuccess: 0,
      staleSince: undefined,
      cause: '',
      services: 1,
      endpoints: 1,
      doubted: 0,
    },
  ];
  return {
    version: 1,
    services: new Map([
      [
        SPEC.service,
        {
          service: SPEC.service,
          shards: new Map([
            ['old', group(0, 4)],
            ['new', group(1, ready)],
          ]),
          ...NOTHING_MORE,
          rules: rulesDuring(SPEC, undefined, DEFAULT_RULES),
        },
      ],
    ]),
    sources: new Map([source('old'), source('new')]),
  };
}

const migrations = (of: Table<StoredState> = table, over: Partial<MigrationDeps> = {}) =>
  new Migrations({
    clock,
    log,
    states: storeOf(of),
    wanted: () => wanted,
    snapshot: () => snapshot(),
    totals: () => totals,
    latency: () => undefined,
    stepsElsewhere: () => '',
    onStep: (_, before, after) => void steps.push(textOfChange(before, after)),
    reportsLagMs: 1_000,
    ...over,
  });

const state = (): MigrationState | undefined => storeOf(table).get(SPEC.service)?.state;

/** A second goes by in which so many requests went to the new side. */
async function second(of: Migrations, good: number, bad = 0): Promise<void> {
  clock.advance(1_000);
  const { successes, errors, issued } = totals.to;
  totals = {
    ...totals,
    to: { successes: successes + good, errors: errors + bad, issued: issued + good + bad },
    from: { ...NONE, issued: totals.from.issued + 90, successes: totals.from.successes + 90 },
  };
  await of.tick();
}

describe('what runs migrations', () => {
  it('steps by what data planes report, since the step began', async () => {
    const running = migrations();
    // What was before does not count.
    totals = { ...totals, to: { successes: 0, errors: 900, issued: 900 } };
    await running.tick();
    expect(state()).toMatchObject({ phase: 'stepping', percent: 10 });
    // A report that comes now is about the time before.
    await second(running, 0, 50);
    for (let n = 0; n < 4; n += 1) await second(running, 10);
    expect(running.reports()[0]?.waitsFor).toContain('not enough traffic: 40 of 100');
    for (let n = 0; n < 6; n += 1) await second(running, 10);
    expect(state()).toMatchObject({ phase: 'stepping', percent: 100 });
    for (let n = 0; n < 3; n += 1) await second(running, 100);
    expect(state()).toMatchObject({ phase: 'completed', percent: 100 });
    expect(steps.map((text) => text.replace(/:.*/, ''))).toEqual([
      'migration new → stepping',
      'migration stepping, 10 % → 100 %',
      'migration stepping → completed',
    ]);
  });

  it('shows the share that was measured', async () => {
    const running = migrations();
    await running.tick();
    for (let n = 0; n < 5; n += 1) await second(running, 10);
    const [report] = running.reports();
    expect(report?.measured).toMatchObject({ toRequests: 40, fromRequests: 360, percent: 10 });
  });

  it('a rollback is on disk before it is in force, and a new process knows it', async () => {
    const running = migrations();
    await running.tick();
    await second(running, 0);
    await second(running, 10);
    await second(running, 50, 50);
    expect(state()).toMatchObject({ phase: 'rollingBack', percent: 0 });
    expect(await readFile(join(folder, 'migrations.json'), 'utf8')).toContain('"rollingBack"');
    const next = await open();
    const again = migrations(next);
    clock.advance(6_000);
    await again.tick();
    expect(storeOf(next).get(SPEC.service)?.state).toMatchObject({ phase: 'rolledBack', percent: 0 });
    await next.close();
  });

  it('after a restart in a step it goes on in it, and counts anew', async () => {
    await migrations().tick();
    clock.advance(60_000);
    const again = migrations();
    await again.tick();
    expect(state()).toMatchObject({ phase: 'stepping', step: 0 });
    expect(again.reports()[0]?.waitsFor).toContain('not enough traffic: 0 of 100');
    await second(again, 200);
    expect(state()).toMatchObject({ phase: 'stepping', step: 1, percent: 100 });
  });

  it('of two that believe that they step, one does', async () => {
    const [a, b] = [migrations(), migrations()];
    await Promise.all([a.tick(), b.tick()]);
    expect(steps).toHaveLength(1);
    for (let n = 0; n < 12; n += 1) {
      clock.advance(1_000);
      totals = { ...totals, to: { ...NONE, successes: totals.to.successes + 50, issued: 0 } };
      await Promise.all([a.tick(), b.tick()]);
    }
    expect(steps.map((text) => text.replace(/:.*/, ''))).toEqual([
      'migration new → stepping',
      'migration stepping, 10 % → 100 %',
      'migration stepping → completed',
    ]);
  });

  it('an operator whose word comes while it steps is obeyed by what is so then', async () => {
    const store = storeOf(table);
    let between = 1;
    const states: StateStore = {
      ...store,
      async write(...args) {
        // Its own first step, in the midst of the operator's.
        if (between-- > 0) await migrations().tick();
        await store.write(...args);
      },
    };
    const running = migrations(table, { states });
    await running.obey(SPEC.service, { verb: 'pause', by: 'ada', reason: 'lunch' });
    expect(state()).toMatchObject({ phase: 'paused', by: 'ada', paused: { phase: 'stepping' } });
  });

  it('one that does not step shows, takes what operators say, and decides nothing', async () => {
    const running = migrations(table, { stepsElsewhere: () => 'replica b' });
    await running.tick();
    expect(state()).toBeUndefined();
    expect(running.reports()[0]).toMatchObject({ controller: 'replica b', revision: '' });
    const report = await running.obey(SPEC.service, { verb: 'pause', by: 'ada', reason: 'lunch' });
    expect(report.state).toMatchObject({ phase: 'paused', reason: 'pause by ada: lunch', by: 'ada' });
  });

  it('refuses what makes no sense', async () => {
    const running = migrations();
    const wish = { by: 'ada', reason: '' };
    await expect(running.obey('other.default', { verb: 'pause', ...wish })).rejects.toMatchObject({
      code: 'ISTHMUS_MIGRATION_NOT_FOUND',
    });
    await expect(running.obey(SPEC.service, { verb: 'approve', ...wish })).rejects.toMatchObject({
      code: 'ISTHMUS_MIGRATION_REFUSED',
      message: expect.stringContaining('approve makes no sense while it is pending') as string,
    });
  });

  it('forgets what nobody wants any more', async () => {
    const running = migrations();
    await running.tick();
    wanted = new Map();
    await running.tick();
    expect(state()).toBeUndefined();
  });

  it('waits for others that must be first', async () => {
    const other = { ...SPEC, service: 'payments.default', after: [SPEC.service] };
    wanted.set(other.service, { spec: other, origin: 'Migration p' });
    const running = migrations();
    await running.tick();
    expect(storeOf(table).get(other.service)?.state).toMatchObject({
      phase: 'waiting',
      reason: expect.stringContaining('the migration of orders.default is stepping') as string,
    });
  });
});

describe('the webhook', () => {
  it('tells each event in order, tries again, and follows no redirect', async () => {
    const got: string[] = [];
    let fails = 2;
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        if (request.url === '/elsewhere') return response.writeHead(302, { location: '/hook' }).end();
        fails -= 1;
        if (fails < 0) got.push(body);
        return response.writeHead(fails < 0 ? 204 : 503).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    let lost = 0;
    const controller = new AbortController();
    // No waiting between tries.
    const quick = { ...systemClock, after: (_: number, fn: () => void) => systemClock.after(1, fn) };
    const options = { clock: quick, log, onLost: () => void (lost += 1) };
    const hook = new Hook({ ...options, url: `${url}/hook` }, controller.signal);
    hook.tell({ n: 1 });
    hook.tell({ n: 2 });
    await eventually(() => got.length === 2);
    expect(got).toEqual(['{"n":1}', '{"n":2}']);
    new Hook({ ...options, url: `${url}/elsewhere` }, controller.signal).tell({ n: 3 });
    await eventually(() => lost === 1);
    expect(got).toHaveLength(2);
    controller.abort();
    await hook.settled();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  });
});
