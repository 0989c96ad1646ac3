// A data plane that is told of a part of the services: those that it says it calls, or each with the first request to
// it. Rules C1, C2, C8 and X1…X4 of docs/xds.md, with the bootstraps that we print.
import { fetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { createXdsServer } from '../../xds-server/server.ts';
import type { XdsServer } from '../../xds-server/server.ts';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { ENVOYS, startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { service, snapshot } from '../unit/xds-server/services.ts';

const WITHIN = { withinMs: 60_000 };

for (const kind of ENVOYS) describePeers([kind], `scope: ${kind}`, (start) => scenarios(kind, start));
describe('scope: proxy', () =>
  scenarios('proxy', () => {
    throw new Error('nothing to start');
  }));

function scenarios(kind: DataPlaneKind, start: StartPeer): void {
  const metrics = createMetrics();
  const backends: Backend[] = [];
  const planes: DataPlane[] = [];
  let server: XdsServer;
  let port = 0;

  const show = (...names: string[]) =>
    server.update(
      snapshot(
        backends
          .filter(({ name }) => names.includes(name))
          .map((b) => service(`${b.name}.default`, `${b.address}:${b.port}`)),
      ),
    );
  const plane = async (service: string, ...flags: string[]) => {
    const started = await startDataPlane(kind, start, { xdsPort: port, service, flags });
    planes.push(started);
    return started;
  };
  const ask = async (at: DataPlane, host: string) => {
    const answer = await fetch(`http://127.0.0.1:${at.port}/`, { headers: { service: `${host}.default` } });
    return { status: answer.status, text: await answer.text() };
  };
  const scopeOf = (node: string) => server.proxies().find((proxy) => proxy.node === node)?.scope;
  const pushes = async () =>
    JSON.stringify((await metrics.registry.getSingleMetric('isthmus_xds_pushes_total')?.get())?.values);
  const rejects = async () =>
    ((await metrics.registry.getSingleMetric('isthmus_xds_rejects_total')?.get())?.values ?? []).length;

  beforeAll(async () => {
    for (const name of ['orders', 'users', 'stock', 'late']) backends.push(await startBackend(name));
    server = createXdsServer({ log: createLogger('silent'), clock: systemClock, metrics });
    show('orders', 'users', 'stock');
    await server.settled();
    server.setReady(true);
    ({ port } = await server.listen('127.0.0.1:0'));
  }, 120_000);
  afterAll(async () => {
    await Promise.all(planes.map((each) => each.stop()));
    await server?.close({ drainMs: 1_000 });
    await Promise.all(backends.map((backend) => backend.stop()));
  }, 60_000);

  it('C1, C2: who calls one service is told of that one, and of no change of another', async () => {
    const web = await plane('web', '--calls', 'orders,late');
    await eventually(async () => (await ask(web, 'orders')).status === 200, WITHIN);
    expect(await ask(web, 'users')).toMatchObject({ status: 404 });
    expect(scopeOf(web.nodeId)).toEqual(['*/late', '*/orders']);
    const before = await pushes();
    show('orders', 'stock');
    show('orders', 'users', 'stock');
    expect(await pushes()).toBe(before);
    show('orders', 'users', 'stock', 'late');
    await eventually(async () => (await ask(web, 'late')).text === 'late', WITHIN);
    server.setScopes(() => ['*/stock']);
    const other = await plane('desk');
    await eventually(async () => (await ask(other, 'stock')).text === 'stock', WITHIN);
    expect((await ask(other, 'users')).status).toBe(404);
    server.setScopes(() => ['*/stock', '*/users']);
    await eventually(async () => (await ask(other, 'users')).text === 'users', WITHIN);
    server.setScopes(() => 'all');
    await eventually(async () => (await ask(other, 'orders')).text === 'orders', WITHIN);
    expect(await rejects()).toBe(0);
  }, 120_000);

  it('C8: on demand, a cluster comes with the first request to it, and the request is answered', async () => {
    show('orders', 'users', 'stock');
    const web = await plane('lazy', '--scope', 'on-demand');
    await eventually(async () => (await ask(web, 'orders')).status === 200, WITHIN);
    expect(await ask(web, 'users')).toEqual({ status: 200, text: 'users' });
    const held = () => {
      const dump = JSON.stringify(server.configDump(web.nodeId));
      return ['orders', 'users', 'stock'].filter((name) => dump.includes(`"cluster_name":"${name}.default"`));
    };
    expect(held()).not.toContain('stock');
    const many = await Promise.all(Array.from({ length: 20 }, async () => ask(web, 'stock')));
    expect(many.every(({ status, text }) => status === 200 && text === 'stock')).toBe(true);
    expect((await ask(web, 'nobody')).status).toBe(404);
    show('orders', 'users', 'stock', 'late');
    await eventually(async () => (await ask(web, 'late')).text === 'late', WITHIN);
    expect(await rejects()).toBe(0);
  }, 120_000);
}
