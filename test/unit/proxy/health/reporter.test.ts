// The proxy's health reports over a real socket, to our own server: the app beside it, what it was asked to check, and
// who answered in another name.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock, systemClock } from '../../../../lib/clock.ts';
import type { AppReport } from '../../../../model/sidecars.ts';
import { Misdirections } from '../../../../proxy/health/misdirections.ts';
import { createHealthReporter } from '../../../../proxy/health/reporter.ts';
import { buildNode } from '../../../../proxy/xds/node.ts';
import { STREAM_LOST } from '../../../../proxy/xds/stream.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import type { HealthReport, MisdirectionReport } from '../../../../xds-server/hds/service.ts';
import { eventually } from '../../../support/eventually.ts';
import { startServer } from '../../xds-server/running.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** @param told status, and whom it says it is. */
async function startApp(told: () => readonly [number, string]) {
  const paths: string[] = [];
  const server: Server = createServer((request, response) => {
    paths.push(request.url ?? '');
    const [code, name] = told();
    response.writeHead(code, name === '' ? {} : { 'x-envoy-upstream-healthchecked-cluster': name }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  closers.push(stop);
  return { port: (server.address() as AddressInfo).port, paths, stop };
}

async function start(appPort: number, healthPath: string) {
  const apps: AppReport[] = [];
  const found: HealthReport[] = [];
  const misdirected: MisdirectionReport[] = [];
  const running = await startServer([], {
    healthChecks: { intervalMs: 200, timeoutMs: 100, fall: 1 },
    onApp: (report) => void apps.push(report),
    onHealth: (report) => void found.push(report),
    onMisdirected: (report) => void misdirected.push(report),
  });
  const log = createLogger('silent');
  const node = buildNode({
    id: 'p1',
    service: 'orders.default',
    version: '1',
    appPort,
    register: { healthPath, check: { intervalMs: 150, timeoutMs: 100, fall: 2 } },
  });
  const misdirections = new Misdirections(systemClock);
  const reporter = createHealthReporter({ node, log, clock: systemClock, misdirections });
  const connect = () => {
    const controller = new AbortController();
    const client = new Client(`127.0.0.1:${running.port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    const talking = reporter.beside(client, controller.signal);
    const leave = async () => {
      controller.abort(STREAM_LOST);
      await talking;
      client.close();
    };
    closers.push(leave);
    return leave;
  };
  closers.push(() => reporter.close());
  return { running, apps, found, misdirected, misdirections, connect };
}

describe('the app beside it', () => {
  it('is checked on its path and told of, changed or not, after a reconnect too', async () => {
    let code = 200;
    const app = await startApp(() => [code, '']);
    const { apps, connect } = await start(app.port, '/health');
    const leave = connect();
    await eventually(() => apps.length >= 3 && apps.every(({ health }) => health === 'healthy'));
    expect(apps[0]).toEqual({ node: 'p1', peer: '127.0.0.1', health: 'healthy', validMs: 700 });
    expect(new Set(app.paths)).toEqual(new Set(['/health']));
    code = 500;
    await eventually(() => apps.at(-1)?.health === 'unhealthy');
    await leave();
    apps.length = 0;
    connect();
    await eventually(() => apps.length > 0);
    expect(apps[0]?.health).toBe('unhealthy');
    code = 204;
    await eventually(() => apps.at(-1)?.health === 'healthy');
  });

  it('without a path only has to take connections', async () => {
    const app = await startApp(() => [500, '']);
    const { apps, connect } = await start(app.port, '/');
    connect();
    await eventually(() => apps.length > 0);
    expect(apps.every(({ health }) => health === 'healthy')).toBe(true);
    app.stop();
    await eventually(() => apps.at(-1)?.health === 'unhealthy');
  });
});

describe('what it is asked to check', () => {
  it('is told of as an Envoy would, and in whose name somebody else answered', async () => {
    const own = await startApp(() => [200, 'users.default']);
    const other = await startApp(() => [421, 'carts.default']);
    const { running, found, misdirected, connect } = await start(own.port, '/');
    connect();
    const target = { service: 'users.default', address: '127.0.0.1', how: 'http', path: '/' } as const;
    running.server.setHealthChecks([own.port, other.port].map((port) => ({ ...target, port })));
    const last = (port: number) => found.findLast((report) => report.port === port)?.health;
    await eventually(() => last(own.port) === 'healthy' && last(other.port) === 'unhealthy');
    await eventually(() => misdirected.length > 0);
    expect(misdirected[0]).toEqual({
      node: 'p1',
      cluster: 'users.default',
      address: '127.0.0.1',
      port: other.port,
      answeredAs: 'carts.default',
    });
  });
});

describe('who answered requests in another name', () => {
  it('is told once the control plane listens, and counts as told when it answered', async () => {
    const app = await startApp(() => [200, '']);
    const { misdirected, misdirections, connect } = await start(app.port, '/');
    misdirections.note('orders.default', '[::1]:8080', 'carts.default');
    connect();
    await eventually(() => misdirected.length > 0 && misdirections.untold.size === 0);
    expect(misdirected[0]).toMatchObject({ cluster: 'orders.default', address: '::1', port: 8080 });
    misdirections.note('orders.default', '[::1]:8080', 'carts.default');
    expect(misdirections.untold.size).toBe(0);
  });

  it('is told again later, once for many requests', () => {
    const clock = new ManualClock();
    const misdirections = new Misdirections(clock);
    let news = 0;
    misdirections.onNews = () => void (news += 1);
    const note = () => misdirections.note('orders.default', '10.0.0.1:80', '');
    note();
    note();
    expect(news).toBe(1);
    misdirections.told([...misdirections.untold.keys()]);
    note();
    expect(news).toBe(1);
    clock.advance(5_000);
    note();
    expect(news).toBe(2);
    expect([...misdirections.untold.values()]).toEqual([
      { cluster: 'orders.default', address: '10.0.0.1', port: 80, name: '' },
    ]);
  });
});
