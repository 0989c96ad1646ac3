// What operators see of many connected clients of every kind: 200 of them, a true Envoy, a true gRPC client and
// the bundled proxy among them, the others by hand.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
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
    await writeFile(join(folder, 'pods.json'), '[]');
    const sources = ['vms', 'pods'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
    control = await startControlPlane(folder, sources);
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

  it('/debug/syncz and config_dump: as other tools read them', { timeout: MINUTES }, async () => {
    const page = async (path: string) =>
      (await fetch(`${control.adminUrl}/debug/${path}`, { headers: { connection: 'close' } })).json();
    await eventually(async () => {
      const all = (await page('syncz')) as Record<string, string>[];
      expect(all).toHaveLength(200);
      for (const one of all) expect(one['endpoint_acked'], one['proxy']).toBe(one['endpoint_sent']);
      const grpc = all.find((one) => one['proxy'] === 'grpc-web');
      for (const name of ['cluster', 'listener', 'route', 'endpoint']) {
        expect(grpc?.[`${name}_acked`]).toMatch(/^[0-9a-f]{24}$/);
      }
      return true;
    }, WITHIN);
    for (const node of ['envoy-web', 'proxy-web', 'grpc-web', 'hand-1']) {
      const { configs } = (await page(`config_dump?proxyID=${node}`)) as { configs: { '@type': string }[] };
      expect(configs.map((config) => config['@type'].split('.').at(-1))).toContain('ClustersConfigDump');
      expect(JSON.stringify(configs)).toContain('orders.default');
    }
  });

  const changes = async (kind: string, apiVersion: string, spec: object) => {
    const file = join(folder, `${kind}.json`);
    await writeFile(file, JSON.stringify({ apiVersion, kind, metadata: { name: 'orders' }, spec }));
    return lines(await ask('diff', '-f', file)).map((line) => line.split(/ +/).join(' '));
  };

  it('diff: what a policy would change, and for how many', { timeout: MINUTES }, async () => {
    const policy = (spec: object) =>
      changes('ServicePolicy', 'isthmus.dev/v1alpha1', { service: 'orders', ...spec });
    expect(await policy({ panicThreshold: 20 })).toEqual(['cds orders.default changed 2']);
    expect(await policy({ timeout: '2s' })).toEqual([
      'rds orders.default changed 1',
      'rds outbound changed 2',
    ]);
    expect(await policy({ policy: { weighted: { vms: 100 } } })).toEqual([
      'cds orders.default changed 2',
      'eds orders.default changed 200',
    ]);
    expect(await policy({ pin: true })).toEqual([
      'cds orders.default@vms added 2',
      'eds orders.default@vms added 0',
      'rds outbound changed 2',
    ]);
    expect(await policy({})).toEqual([]);
    await expect(policy({ panicThreshold: 200 })).rejects.toThrow('panicThreshold');
  });

  it('diff: what a migration and a scope would change', { timeout: MINUTES }, async () => {
    const migration = { service: 'orders', from: 'vms', to: 'pods', steps: [{ percent: 100 }] };
    expect(await changes('Migration', 'isthmus.dev/v1alpha1', migration)).toEqual([
      'cds orders.default changed 2',
      'eds orders.default changed 200',
    ]);
    const nothing = { egress: [{ hosts: ['~/*'] }] };
    expect(await changes('Sidecar', 'networking.istio.io/v1', nothing)).toEqual([
      'lds orders removed 1',
      'cds orders.default removed 3',
      'eds orders.default removed 200',
      'rds orders.default removed 1',
      'rds outbound changed 2',
    ]);
    const everything = { egress: [{ hosts: ['*/*'] }] };
    expect(await changes('Sidecar', 'networking.istio.io/v1', everything)).toEqual([]);
    expect(lines(await ask('proxy-status'))).toHaveLength(200);
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
