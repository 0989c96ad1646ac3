// What a ServicePolicy says of breakers and hedging, through a control plane, on Envoy and on the bundled proxy.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { answer, hang, inTurn, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { BehavingHosts } from '../support/behaving-hosts.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';

const WITHIN = { withinMs: 60_000 };

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
