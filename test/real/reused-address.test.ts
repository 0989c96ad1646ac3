// An instance of orders dies, and carts comes to life at its address with the same health path, while a true Consul,
// whose check knows no names, goes on listing orders there. Callers are a true Envoy and the bundled proxy. With a
// sidecar before carts no caller of orders ever hears from carts; without one, none does once it was asked who it is.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EndpointJson } from '../../admin/types.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { callHttp } from '../support/hands/hand.ts';
import { isthmus } from '../support/isthmus.ts';
import { startNamedApp } from '../support/named-app.ts';
import type { NamedApp } from '../support/named-app.ts';
import type { Peer } from '../support/peer.ts';

const WITHIN = { withinMs: 90_000 };
const STEP = { timeout: 120_000 };

describePeers(['consul', 'envoy'], 'a reused address', scenario);

function scenario(start: StartPeer): void {
  let folder: string;
  let consul: Peer;
  let control: ControlPlaneProcess;
  let callers: readonly DataPlane[];
  /** The address that is reused. */
  let port: number;
  let stable: { readonly app: NamedApp; readonly sidecar: DataPlane };
  let reused: { readonly app: NamedApp; readonly sidecar: DataPlane };
  const closers: (() => Promise<unknown>)[] = [];

  const startInstance = async (service: string, answer: string, inboundPort: number) => {
    const app = await startNamedApp('', 0, answer);
    closers.push(() => app.stop());
    const sidecar = await startDataPlane('proxy', start, {
      xdsPort: control.xdsPort,
      service,
      appPort: app.port,
      inboundPort,
      nodeId: answer,
      flags: ['--health-path', '/health'],
    });
    closers.push(() => sidecar.stop());
    return { app, sidecar };
  };
  const endpoint = async (): Promise<EndpointJson | undefined> => {
    const response = await fetch(`${control.adminUrl}/api/v1/services/orders.default/endpoints`);
    const { items } = (await response.json()) as { items: EndpointJson[] };
    return items.find((each) => each.port === port);
  };
  const call = async (caller: DataPlane) => {
    const response = await fetch(`http://127.0.0.1:${caller.port}/`, { headers: { service: 'orders' } });
    return response.status === 200 ? response.text() : `HTTP ${response.status}`;
  };
  /** What each caller hears in so many calls of orders. */
  const hear = async (calls: number) => {
    const heard = await Promise.all(
      callers.map(async (caller) => {
        const answers = new Set<string>();
        for (let n = 0; n < calls; n += 1) answers.add(await call(caller));
        return [...answers].sort().join();
      }),
    );
    return heard;
  };
  const both = (answers: string) =>
    eventually(async () => (await hear(20)).every((heard) => heard === answers), {
      ...WITHIN,
      what: `orders answered by ${answers}`,
    });
  const statusOf = async (check: string) => {
    const all = JSON.parse(await callHttp('GET', `${consul.url}/v1/agent/checks`)) as Record<
      string,
      { readonly Status: string }
    >;
    return all[check]?.Status;
  };
  const explained = () => isthmus('explain', 'orders', `127.0.0.1:${port}`, '--server', control.adminUrl);
  /** By Consul and by its own sidecar. */
  const isKnown = () =>
    eventually(async () => (await endpoint())?.sources.join() === 'consul,sidecars', WITHIN);
  const isQuarantined = (as: RegExp) =>
    eventually(async () => {
      const found = await endpoint();
      return found?.state === 'quarantined' && as.test(await explained());
    }, WITHIN);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-reused-'));
    // Its checks go to loopback.
    consul = await start('consul', { network: 'host' });
    control = await startControlPlane(
      folder,
      [
        { name: 'consul', kind: 'consul', address: consul.url },
        { name: 'sidecars', kind: 'sidecar', grace: '2s' },
      ],
      { probe: { interval: '1s' } },
    );
    port = await freePort();
    stable = await startInstance('orders', 'orders-stable', await freePort());
    reused = await startInstance('orders', 'orders-first', port);
    const check = { HTTP: `http://127.0.0.1:${port}/health`, Interval: '1s', Timeout: '5s' };
    await callHttp('PUT', `${consul.url}/v1/agent/service/register`, {
      Name: 'orders',
      ID: 'orders-1',
      Address: '127.0.0.1',
      Port: port,
      Check: { CheckID: 'nameless', ...check },
    });
    await callHttp('PUT', `${consul.url}/v1/agent/check/register`, {
      Name: 'named',
      ID: 'named',
      ...check,
      Header: { 'x-isthmus-service': ['orders.default'] },
    });
    callers = await Promise.all(
      (['envoy', 'proxy'] as const).map((kind) =>
        startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'web' }),
      ),
    );
    for (const caller of callers) closers.push(() => caller.stop());
  }, STEP.timeout);
  afterAll(async () => {
    for (const close of closers.reverse()) await close();
    await control?.stop();
    await rm(folder, { recursive: true, force: true });
  }, STEP.timeout);

  it('both instances answer, and Consul finds the first one well in either way', STEP, async () => {
    await isKnown();
    await both('orders-first,orders-stable');
    await eventually(
      async () => (await statusOf('named')) === 'passing' && (await statusOf('nameless')) === 'passing',
      WITHIN,
    );
  });

  it('a sidecar of carts at the address: callers of orders never hear from carts', STEP, async () => {
    const answers = new Set<string>();
    let isOver = false;
    const calling = callers.map(async (caller) => {
      while (!isOver) answers.add(await call(caller));
    });
    await reused.sidecar.kill();
    await reused.app.stop();
    const carts = await startInstance('carts', 'carts', port);
    await isQuarantined(/quarantined[^\n]*answered as carts\.default/);
    await both('orders-stable');
    isOver = true;
    await Promise.all(calling);
    expect([...answers]).not.toContain('carts');
    // Its own callers get it, at the same address.
    await eventually(async () => {
      const [caller] = callers;
      const response = await fetch(`http://127.0.0.1:${caller?.port}/`, { headers: { service: 'carts' } });
      return (await response.text()) === 'carts';
    }, WITHIN);
    await carts.sidecar.stop();
    await carts.app.stop();
  });

  it(
    'the check of Consul that sends the name failed by itself, the other one did not see it',
    STEP,
    async () => {
      const carts = await startInstance('carts', 'carts-again', port);
      await eventually(
        async () => (await statusOf('named')) === 'critical' && (await statusOf('nameless')) === 'passing',
        WITHIN,
      );
      await carts.sidecar.stop();
      await carts.app.stop();
    },
  );

  it('orders is called there again when it is back', STEP, async () => {
    reused = await startInstance('orders', 'orders-first', port);
    await isKnown();
    await both('orders-first,orders-stable');
  });

  it('carts without a sidecar is heard no more once it was asked who it is', STEP, async () => {
    await reused.sidecar.kill();
    await reused.app.stop();
    const carts = await startNamedApp('', port, 'carts');
    closers.push(() => carts.stop());
    await isQuarantined(/quarantined[^\n]*answered as somebody without a name/);
    await both('orders-stable');
    expect(await hear(50)).toEqual(['orders-stable', 'orders-stable']);
    // It was critical while nobody listened there.
    await eventually(async () => (await statusOf('nameless')) === 'passing', WITHIN);
    expect(stable.app.requests.length).toBeGreaterThan(0);
  });
}
