// Registries that lose what they knew: a script deregisters almost everything, Consul and Eureka are restarted
// empty, the control plane starts while both are dead. Callers through a real Envoy or the bundled proxy notice
// nothing while instances register again.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';
import { burst, startLoad } from '../support/load.ts';
import type { Load } from '../support/load.ts';
import type { Peer } from '../support/peer.ts';

const STEP_MS = 240_000;
/** Liveness, not speed. */
const SOON = { withinMs: 100_000, everyMs: 250 };
const INSTANCES = 6;

for (const kind of ['envoy', 'proxy'] as const) {
  const needed =
    kind === 'envoy' ? (['consul', 'eureka', 'envoy'] as const) : (['consul', 'eureka'] as const);
  describePeers(needed, `registries that lose what they knew, through ${kind}`, (start) =>
    scenario(kind, start),
  );
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  const closers: (() => Promise<unknown>)[] = [];
  const inConsul: Backend[] = [];
  const inEureka: Backend[] = [];
  const loads: Load[] = [];
  let consul: Peer;
  let eureka: Peer;
  let control: ControlPlaneProcess;

  beforeAll(async () => {
    [consul, eureka] = [await start('consul'), await start('eureka')];
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-wiped-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    for (let n = 1; n <= INSTANCES; n += 1) inConsul.push(await startBackend(`vm-${n}`));
    for (let n = 1; n <= 2; n += 1) inEureka.push(await startBackend(`old-${n}`));
    for (const backend of [...inConsul, ...inEureka]) closers.push(() => backend.stop());
    await registerAll();
    control = await startControlPlane(folder, [
      { name: 'consul', kind: 'consul', address: consul.url, guard: { confirmAfter: '20s' } },
      { name: 'eureka', kind: 'eureka', urls: [`${eureka.url}/eureka`], pollSeconds: 1 },
    ]);
    closers.push(() => control.stop());
    const plane = await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'web' });
    closers.push(() => plane.stop());
    for (const [host, count] of [
      ['orders', INSTANCES],
      ['billing', 2],
    ] as const) {
      const target = { port: plane.port, headers: { host } };
      await eventually(async () => (await burst(target, 100)).size === count, SOON);
      const load = startLoad({ ...target, rate: 100, callers: 4 });
      loads.push(load);
      closers.push(() => load.stop());
    }
  }, STEP_MS * 2);
  afterAll(async () => {
    for (const close of closers.reverse()) await close();
  }, STEP_MS);

  const registerAll = async () => {
    for (const backend of inConsul) await registerInConsul(consul, backend);
    for (const backend of inEureka) await registerInEureka(eureka, backend);
  };
  const source = async (name: string) => {
    const text = await isthmus('get', 'sources', name, '-o', 'json', '--server', control.adminUrl);
    const [found] = (JSON.parse(text) as { items: SourceJson[] }).items;
    if (!found) throw new Error(`no source ${name}`);
    return found;
  };
  /** Under load from its begin to its end, without a failed request. */
  const step = (title: string, body: () => Promise<void>) =>
    it(title, { timeout: STEP_MS }, async () => {
      await body();
      for (const load of loads) {
        load.mark();
        await eventually(() => load.good() >= 100, SOON);
        expect(load.failures()).toEqual([]);
      }
    });

  step('Consul is restarted empty: nothing leaves, and each instance that is back is live', async () => {
    await consul.restartEmpty();
    await eventually(async () => (await source('consul')).doubted === INSTANCES, SOON);
    for (const backend of inConsul) await registerInConsul(consul, backend);
    await eventually(async () => {
      const { state, doubted, endpoints } = await source('consul');
      return state === 'live' && doubted === 0 && endpoints === INSTANCES;
    }, SOON);
  });

  step('a script deregisters 5 of 6: doubted, then believed', async () => {
    for (const { name } of inConsul.slice(1)) {
      await put(`${consul.url}/v1/agent/service/deregister/${name}`, 'PUT');
    }
    await eventually(async () => (await source('consul')).doubted === INSTANCES - 1, SOON);
    await eventually(async () => {
      const { doubted, endpoints } = await source('consul');
      return doubted === 0 && endpoints === 1;
    }, SOON);
  });

  step('Eureka is restarted empty: nothing leaves, and each instance that is back is live', async () => {
    await eureka.restartEmpty();
    await eventually(async () => (await source('eureka')).doubted === inEureka.length, SOON);
    for (const backend of inEureka) await registerInEureka(eureka, backend);
    await eventually(async () => {
      const { state, doubted, endpoints } = await source('eureka');
      return state === 'live' && doubted === 0 && endpoints === inEureka.length;
    }, SOON);
  });

  step(
    'the control plane is killed and starts while both are dead: it serves what they said last',
    async () => {
      // The file is written within a second of a change.
      await eventually(async () => (await metric(control, 'eureka')) > 0, SOON);
      await consul.kill();
      await eureka.kill();
      await control.restart();
      expect(await source('consul')).toMatchObject({ state: 'stale', endpoints: 1, held: 1 });
      expect(await source('eureka')).toMatchObject({ state: 'stale', endpoints: inEureka.length });
    },
  );
}

interface SourceJson {
  readonly state: string;
  readonly endpoints: number;
  readonly held: number;
  readonly doubted: number;
}

async function metric(control: ControlPlaneProcess, source: string): Promise<number> {
  const text = await (await fetch(`${control.adminUrl}/metrics`)).text();
  const line = new RegExp(`^isthmus_last_known_good_bytes\\{source="${source}"\\} (\\d+)`, 'm').exec(text);
  return Number(line?.[1] ?? 0);
}

async function put(url: string, method: string, body: object = {}): Promise<void> {
  const headers = { connection: 'close', 'content-type': 'application/json' };
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${url}: HTTP ${answer.status} ${await answer.text()}`);
}

const registerInConsul = (consul: Peer, { name, address, port }: Backend) =>
  put(`${consul.url}/v1/agent/service/register`, 'PUT', {
    ID: name,
    Name: 'orders',
    Address: address,
    Port: port,
  });

const registerInEureka = (eureka: Peer, { name, address, port }: Backend) =>
  put(`${eureka.url}/eureka/apps/BILLING`, 'POST', {
    instance: {
      instanceId: name,
      app: 'BILLING',
      hostName: address,
      ipAddr: address,
      status: 'UP',
      port: { $: port, '@enabled': 'true' },
      dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
      // Nobody renews this lease: it must outlive the test.
      leaseInfo: { durationInSecs: 3_600, renewalIntervalInSecs: 30 },
    },
  });
