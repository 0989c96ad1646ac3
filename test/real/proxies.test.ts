// What operators see of many connected clients of every kind: 200 of them, a true Envoy, a true gRPC client and
// the bundled proxy among them, the others by hand.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startGrpcCaller } from '../support/grpc/callers.ts';
import { isthmus } from '../support/isthmus.ts';
import { nodeWith } from '../support/xds-messages.ts';
import { XdsRawClient } from '../support/xds-raw-client.ts';

const MINUTES = 240_000;
const WITHIN = { withinMs: 60_000, everyMs: 200 };
const BY_HAND = 197;
const AGENTS = ['envoy', 'gRPC C-core linux', 'isthmus-proxy'] as const;

describePeers(['envoy', 'grpcio'], '200 clients of three kinds', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;
  const stops: (() => Promise<unknown> | void)[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-proxies-'));
    stops.push(() => rm(folder, { recursive: true, force: true }));
    await write('127.0.0.1:9', '127.0.0.1:10');
    control = await startControlPlane(folder, [{ name: 'vms', kind: 'file', path: './vms.json' }]);
    stops.push(() => control.stop());
    const { xdsPort } = control;
    for (const kind of ['envoy', 'proxy'] as const) {
      const plane = await startDataPlane(kind, start, { xdsPort, service: 'web' });
      stops.push(() => plane.stop());
    }
    const target = 'xds:///orders';
    const caller = await startGrpcCaller('grpcio', start, { target, nodeId: 'grpc-web', xdsPort, rate: 1 });
    stops.push(() => caller.stop());
    const byHand = Array.from({ length: BY_HAND }, (_, i) => connectByHand(xdsPort, i));
    stops.push(() => byHand.forEach((client) => client.kill()));
    await Promise.all(byHand.map(follow));
  }, MINUTES);
  afterAll(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  }, MINUTES);

  const write = (...targets: readonly string[]) =>
    writeFile(join(folder, 'vms.json'), JSON.stringify([{ targets, labels: { service: 'orders' } }]));
  const ask = (...args: readonly string[]) => isthmus(...args, '--server', control.adminUrl);
  const lines = (text: string) => text.trimEnd().split('\n').slice(1);

  it('proxy-status: one line each, of all three kinds, all in step', { timeout: MINUTES }, async () => {
    const all = await eventually(async () => {
      const rows = lines(await ask('proxy-status'));
      expect(rows).toHaveLength(200);
      // EDS is what each of them asked for; no type is refused or on its way.
      for (const row of rows) expect(row).toMatch(/^(\S+ +){4}SYNCED /);
      expect(rows.filter((row) => /STALE|NACKED/.test(row))).toEqual([]);
      return rows;
    }, WITHIN);
    for (const kind of ['envoy', 'grpc', 'isthmus']) {
      expect(all.filter((row) => new RegExp(` ${kind}( |$)`).test(row)).length, kind).toBeGreaterThan(60);
    }
    const one = await ask('proxy-status', 'grpc-web');
    expect(one).toContain('grpc C-core');
    expect(one).toMatch(/lds +SYNCED +[0-9a-f]{24}/);
  });

  it.each([
    ['envoy-web', 'outbound', 'outbound'],
    ['proxy-web', 'outbound', 'outbound'],
    ['grpc-web', 'orders', 'orders.default'],
  ])('proxy-config of %s', { timeout: MINUTES }, async (node, listener, routes) => {
    const [cluster] = lines(await ask('proxy-config', 'clusters', node));
    expect(cluster).toMatch(/^orders\.default +EDS +ROUND_ROBIN .*ACKED$/);
    const endpoints = lines(await ask('proxy-config', 'endpoints', node));
    expect(endpoints.map((line) => line.split(/ +/)[1])).toEqual(['127.0.0.1:9', '127.0.0.1:10']);
    expect(lines(await ask('proxy-config', 'listeners', node)).join()).toMatch(
      new RegExp(`^${listener} .* ${routes} +ACKED`),
    );
    expect(lines(await ask('proxy-config', 'routes', node)).join()).toMatch(
      new RegExp(`^${routes} .*orders`),
    );
    const json = JSON.parse(await ask('proxy-config', 'clusters', node, '-o', 'json')) as { items: object[] };
    expect(json.items).toMatchObject([{ name: 'orders.default', state: 'ACKED' }]);
  });

  it('proxy-config of nobody is an error', async () => {
    await expect(ask('proxy-config', 'routes', 'nobody')).rejects.toThrow('nobody');
  });

  it('diff: what a policy would change, and for how many', { timeout: MINUTES }, async () => {
    const file = join(folder, 'policy.json');
    const policy = (spec: object) =>
      writeFile(
        file,
        JSON.stringify({
          apiVersion: 'isthmus.dev/v1alpha1',
          kind: 'ServicePolicy',
          metadata: { name: 'orders' },
          spec: { service: 'orders', ...spec },
        }),
      );
    const changes = async () =>
      lines(await ask('diff', '-f', file)).map((line) => line.split(/ +/).join(' '));
    await policy({ panicThreshold: 20 });
    expect(await changes()).toEqual(['cds orders.default changed 3']);
    await policy({ policy: { weighted: { vms: 100 } } });
    expect(await changes()).toEqual(['cds orders.default changed 3', 'eds orders.default changed 200']);
    await policy({ pin: true });
    expect(await changes()).toEqual([
      'cds orders.default@vms added 2',
      'eds orders.default@vms added 0',
      'rds outbound changed 2',
    ]);
    await policy({});
    expect(await changes()).toEqual([]);
    await policy({ panicThreshold: 200 });
    await expect(changes()).rejects.toThrow('panicThreshold');
  });

  it('a change reaches them all', { timeout: MINUTES }, async () => {
    await write('127.0.0.1:11');
    for (const node of ['envoy-web', 'proxy-web', 'grpc-web', 'hand-1', 'hand-2', 'hand-3']) {
      await eventually(async () => {
        const [line] = lines(await ask('proxy-config', 'endpoints', node));
        expect(line).toMatch(/127\.0\.0\.1:11 .*ACKED$/);
        return true;
      }, WITHIN);
    }
  });
});

function connectByHand(port: number, index: number): XdsRawClient {
  const node = { ...nodeWith(`hand-${index}`, { service: 'web' }), user_agent_name: AGENTS[index % 3] };
  return new XdsRawClient(port, 'sotw', node);
}

/** Subscribes to the endpoints of one service and acknowledges all that comes, until it is killed. */
async function follow(client: XdsRawClient): Promise<void> {
  const names = ['orders.default'];
  client.send('eds', { names });
  await client.take('eds', { names });
  void keepUp(client, names);
}

async function keepUp(client: XdsRawClient, names: readonly string[]): Promise<void> {
  for (;;) {
    const more = await client.anyResponse().catch(() => 'none yet' as const);
    if (more === undefined) return;
    if (more !== 'none yet') client.ack(more, { names });
  }
}
