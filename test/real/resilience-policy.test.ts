// What a ServicePolicy says of breakers and hedging, through a control plane, on Envoy and on the bundled proxy.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch, request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { answer, hang, inTurn, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { Behaviour, BehavingHosts } from '../support/behaving-hosts.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';

const WITHIN = { withinMs: 60_000 };
const STAY = { 'x-stay': 'yes' };
const stayIfAsked: Behaviour = (asked, response, nth) =>
  (asked.headers['x-stay'] ? hang : answer(200))(asked, response, nth);

for (const kind of ['envoy', 'envoy-1.36', 'proxy'] as const) {
  const needed = kind === 'proxy' ? [] : [kind];
  describePeers(needed, `breakers and hedging by policy through ${kind}`, (start) => scenario(kind, start));
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  let folder: string;
  let control: ControlPlaneProcess;
  let plane: DataPlane;
  let hosts: BehavingHosts;

  const setPolicy = (spec: object) =>
    writeFile(
      join(folder, 'policies', 'orders.yaml'),
      JSON.stringify({
        apiVersion: 'isthmus.dev/v1alpha1',
        kind: 'ServicePolicy',
        metadata: { name: 'orders' },
        spec: { service: 'orders', ...spec },
      }),
    );
  const ask = async (): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${plane.port}/`, { headers: { service: 'orders' } });
    await response.arrayBuffer();
    return response.status;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-resilience-'));
    await mkdir(join(folder, 'policies'));
    hosts = await startBehavingHosts(1);
    const targets = hosts.hosts.map(({ port }) => `127.0.0.1:${port}`);
    await writeFile(join(folder, 'vms.json'), JSON.stringify([{ targets, labels: { service: 'orders' } }]));
    await setPolicy({});
    const sources = [{ name: 'vms', kind: 'file', path: './vms.json' }];
    control = await startControlPlane(folder, sources, { resources: ['./policies'] });
    plane = await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'caller' });
    await eventually(async () => (await ask()) === 200, WITHIN);
  });
  afterAll(async () => {
    await plane?.stop();
    await control?.stop();
    await hosts?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('a policy makes the breaker by failure rate, and takes it away', async () => {
    hosts.behave(answer(500));
    for (let i = 0; i < 20; i += 1) expect(await ask()).toBe(500);
    await setPolicy({ breaker: { failureRate: { window: '600s', maxRejectPercent: 100, aggression: 100 } } });
    await eventually(async () => (await ask()) === 503, WITHIN);
    hosts.behave(answer(500));
    const seen = await Promise.all(Array.from({ length: 20 }, ask));
    // The few that a drawn number lets through are of no matter.
    expect(seen.filter((status) => status === 503).length).toBeGreaterThan(10);
    await setPolicy({});
    hosts.behave(answer(200));
    await eventually(async () => {
      const now = await Promise.all(Array.from({ length: 10 }, ask));
      return now.every((status) => status === 200);
    }, WITHIN);
  });

  it('a policy makes the breaker by latency on the sidecar of the service, which lets checks pass', async () => {
    const appPort = hosts.hosts[0]?.port ?? 0;
    const own = await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'orders', appPort });
    // Each on a connection of its own: Envoy serves those that are open as before, until they are drained.
    const statusOf = async (headers: Readonly<Record<string, string>>, signal?: AbortSignal) => {
      const { statusCode, body } = await request(`http://127.0.0.1:${own.inboundPort}/`, {
        headers: { 'x-isthmus-service': 'orders.default', ...headers },
        reset: true,
        ...(signal && { signal }),
      });
      await body.dump();
      return statusCode;
    };
    const limitOf = async () =>
      (await own.stats()).get('http.inbound.adaptive_concurrency.gradient_controller.concurrency_limit');
    // Checks come to the app at any time.
    const staying = () => hosts.hosts[0]?.seen.filter(({ headers }) => headers['x-stay']).length ?? 0;
    try {
      hosts.behave(stayIfAsked);
      await eventually(async () => (await statusOf({})) === 200, WITHIN);
      expect(await limitOf()).toBeUndefined();
      await setPolicy({ breaker: { latency: { minConcurrency: 1, maxConcurrency: 1 } } });
      await eventually(async () => (await limitOf()) === 1, WITHIN);
      // The one that there may be stays at the app.
      const leave = new AbortController();
      const first = statusOf(STAY, leave.signal).catch(() => 0);
      await eventually(() => staying() === 1, WITHIN);
      expect(await statusOf({})).toBe(503);
      expect(await statusOf({ 'user-agent': 'Envoy/HC' })).toBe(200);
      expect(await statusOf({ 'user-agent': 'isthmus' })).toBe(200);
      expect(await statusOf({ ...STAY, 'x-isthmus-service': 'users.default' })).toBe(421);
      expect(staying()).toBe(1);
      leave.abort();
      expect(await first).toBe(0);
      await eventually(async () => (await statusOf({})) === 200, WITHIN);
      await setPolicy({});
      await eventually(async () => {
        hosts.behave(stayIfAsked);
        const three = [1, 2, 3].map(() => statusOf(STAY, AbortSignal.timeout(1_000)).catch(() => 0));
        await Promise.all(three);
        return staying() === 3;
      }, WITHIN);
    } finally {
      await own.stop();
    }
  });

  it('a policy has slow tries hedged', async () => {
    await setPolicy({ timeout: '20s', retries: { attempts: 1, perTryTimeout: '300ms', hedge: true } });
    await eventually(async () => {
      // What is tried again by default is none of this.
      hosts.behave(inTurn(hang, answer(200)));
      const within = AbortSignal.timeout(5_000);
      const asked = fetch(`http://127.0.0.1:${plane.port}/`, {
        headers: { service: 'orders' },
        signal: within,
      }).then(
        ({ status }) => status,
        () => 0,
      );
      return (await asked) === 200 && hosts.counts()[0] === 2;
    }, WITHIN);
  });
}
