// Sidecars written into a true Eureka for callers outside: owned, fenced, written again when it was lost, gone with
// whoever wrote them, never read back, and never away while one replica takes over from another.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { EndpointJson } from '../../admin/types.ts';
import { EurekaRegistrar } from '../../adapters/eureka/registrar.ts';
import { eurekaSource } from '../../config/schema.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Written } from '../../model/sidecars.ts';
import { startBackend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import type { Peer } from '../support/peer.ts';
import { callEureka, eurekaArgs, registerEureka } from './fixtures/eureka.ts';
import { FaultyProxy, NONSENSE } from './fixtures/faulty-proxy.ts';

const WITHIN = { withinMs: 60_000, everyMs: 100 };
const LONG = 180_000;
const signal = new AbortController().signal;
const args = [...eurekaArgs.slice(2), '--eureka.server.use-read-only-response-cache=false'];

interface Listed {
  readonly instanceId: string;
  readonly ipAddr: string;
  readonly port: { readonly $: number };
  readonly status: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly leaseInfo: { readonly lastRenewalTimestamp: number };
}

const entry = (port: number, weight = 1): Written => ({
  name: 'carts',
  address: '10.0.0.9',
  port,
  weight,
  labels: { version: 'v1', 'isthmus.dev/app-port': '8080' },
  status: 'passing',
});
const idOf = (owner: string, port: number) => `${owner}:carts:10.0.0.9:${port}`;

/** As callers outside see an application. */
async function listed(eureka: Peer, app: string): Promise<readonly Listed[]> {
  const answer = await fetch(`${eureka.url}/eureka/apps/${app}`, {
    headers: { accept: 'application/json', connection: 'close' },
  });
  if (answer.status === 404) return [];
  const { application } = (await answer.json()) as { application: { instance: Listed[] } };
  return application.instance;
}

/** As the registry has it, past its caches. */
async function instance(eureka: Peer, app: string, id: string): Promise<Listed | undefined> {
  const answer = await fetch(`${eureka.url}/eureka/apps/${app}/${encodeURIComponent(id)}`, {
    headers: { accept: 'application/json', connection: 'close' },
  });
  if (answer.status === 404) return undefined;
  return ((await answer.json()) as { instance: Listed }).instance;
}

describePeers(['eureka'], 'what is written into Eureka', (start) => {
  let eureka: Peer;
  const opened: EurekaRegistrar[] = [];
  const fronts: FaultyProxy[] = [];
  /** Added to the time by which leases are due. */
  let aheadMs = 0;
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + aheadMs };

  beforeAll(async () => {
    eureka = await start('eureka', { args });
  }, LONG);
  afterEach(async () => {
    for (const registrar of opened.splice(0)) {
      aheadMs += 60_000;
      registrar.lead();
      await registrar.write([], signal);
      registrar.close();
    }
  });
  afterAll(async () => {
    await Promise.all(fronts.map((front) => front.stop()));
  });

  const registrar = (owner: string, urls: readonly string[] = [eureka.url], leaseSeconds = 45) => {
    const config = eurekaSource.parse({
      name: 'e',
      kind: 'eureka',
      urls: urls.map((url) => `${url}/eureka`),
    });
    const made = new EurekaRegistrar({ config, owner, clock, leaseSeconds });
    opened.push(made);
    return made;
  };
  const own = async (owner: string) => {
    const all = await listed(eureka, 'CARTS');
    return all.filter(({ metadata }) => metadata['isthmus-owner'] === owner);
  };
  const portsOf = async (owner: string) => (await own(owner)).map(({ port }) => port.$).sort((a, b) => a - b);

  test('it is ours alone: marked, weighed, changed and removed; what others registered stays', async () => {
    await registerEureka(eureka.url, 'carts', { address: '10.0.0.8', port: 80 });
    const one = registrar('one');
    expect(await one.write([entry(1), entry(2, 7)], signal)).toBe(true);
    const both = await eventually(async () => {
      const found = await own('one');
      return found.length === 2 && found;
    }, WITHIN);
    expect(both.map(({ port, metadata }) => `${port.$} ${metadata['weight']}`).sort()).toEqual([
      '1 1',
      '2 7',
    ]);
    expect(both[0]).toMatchObject({ status: 'UP', ipAddr: '10.0.0.9' });
    expect(both[0]?.metadata).toEqual({
      weight: expect.any(String),
      version: 'v1',
      'isthmus-owner': 'one',
      'isthmus-fence': '1',
    });
    await one.write([{ ...entry(2, 9), status: 'critical' }], signal);
    await eventually(async () => {
      const found = await own('one');
      expect(found.map(({ status, metadata }) => `${status} ${metadata['weight']}`)).toEqual(['DOWN 9']);
      return true;
    }, WITHIN);
    await one.write([entry(2, 9)], signal);
    await eventually(async () => (await own('one'))[0]?.status === 'UP', WITHIN);
    await one.write([], signal);
    await eventually(async () => (await listed(eureka, 'CARTS')).length === 1, WITHIN);
  });

  test('one that Eureka refuses is told, and keeps no other from being written', async () => {
    const one = registrar('two');
    await expect(one.write([{ ...entry(1), address: '' }, entry(21)], signal)).rejects.toMatchObject({
      code: 'ISTHMUS_EUREKA_WRITE',
    });
    expect(await instance(eureka, 'CARTS', idOf('two', 21))).toBeDefined();
  });

  /** Somebody else's instance under an id of ours; the returned function takes it away. */
  const squat = async (id: string) => {
    await callEureka(`${eureka.url}/eureka/apps/CARTS`, 'POST', {
      instance: {
        instanceId: id,
        hostName: 'h',
        app: 'CARTS',
        ipAddr: '10.0.0.7',
        status: 'UP',
        dataCenterInfo: {
          '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo',
          name: 'MyOwn',
        },
      },
    });
    return () => callEureka(`${eureka.url}/eureka/apps/CARTS/${encodeURIComponent(id)}`, 'DELETE');
  };
  const fenceOf = async (owner: string, port: number) =>
    (await instance(eureka, 'CARTS', idOf(owner, port)))?.metadata['isthmus-fence'];

  test('somebody else has the id: it is not touched', async () => {
    const leave = await squat(idOf('three', 31));
    const one = registrar('three');
    await expect(one.write([entry(31), entry(32)], signal)).rejects.toThrow('somebody else');
    expect(await instance(eureka, 'CARTS', idOf('three', 31))).toMatchObject({ ipAddr: '10.0.0.7' });
    expect(await instance(eureka, 'CARTS', idOf('three', 32))).toBeDefined();
    await leave();
  });

  test('one is refused for good: it goes above those before it, and gives way to those after it', async () => {
    const leave = await squat(idOf('ten', 101));
    const front = new FaultyProxy(eureka.url);
    fronts.push(front);
    const [first, second] = [registrar('ten'), registrar('ten', [await front.start()])];
    const isList = (url: string) => url.includes('/svips/');
    const oldList = front.fault('a list of before', (_req, res) => res.writeHead(404).end(), isList);
    await first.write([entry(102), entry(103)], signal);
    await oldList.begin();
    await expect(second.write([entry(101), entry(102)], signal)).rejects.toThrow('somebody else');
    expect(await fenceOf('ten', 102)).toBe('2');
    await oldList.end();
    aheadMs += 30_000;
    await expect(second.write([entry(101), entry(102)], signal)).rejects.toThrow('somebody else');
    expect(await portsOf('ten')).toEqual([102]);
    expect(await first.write([entry(102)], signal)).toBe(false);
    first.lead();
    expect(await first.write([entry(102)], signal)).toBe(true);
    aheadMs += 30_000;
    expect(await second.write([entry(101), entry(102), entry(104)], signal)).toBe(false);
    expect(await fenceOf('ten', 102)).toBe('3');
    expect(await portsOf('ten')).toEqual([102]);
    await leave();
  });

  test('everything is refused at first: what a dead one wrote is taken over all the same', async () => {
    const front = new FaultyProxy(eureka.url);
    fronts.push(front);
    const [dead, next] = [registrar('eleven'), registrar('eleven', [await front.start()])];
    await dead.write([entry(111)], signal);
    dead.lead();
    await dead.write([entry(111), entry(112)], signal);
    for (const name of ['HTTP 403', 'half a JSON', 'JSON of another shape', 'a web page with status 200']) {
      const fault = front.fault(name, NONSENSE[name] ?? (() => undefined));
      await fault.begin();
      await expect(next.write([entry(111)], signal), name).rejects.toMatchObject({
        code: 'ISTHMUS_EUREKA_WRITE',
        cause: { name: 'WrongAnswer' },
      });
      await fault.end();
    }
    aheadMs += 30_000;
    expect(await next.write([entry(111)], signal)).toBe(true);
    expect(await fenceOf('eleven', 111)).toBe('3');
    expect(await portsOf('eleven')).toEqual([111]);
  });

  test('two that write with one owner: the one that came later has it, and the other gives way', async () => {
    const [first, second] = [registrar('four'), registrar('four')];
    expect(await first.write([entry(41), entry(42)], signal)).toBe(true);
    expect(await second.write([entry(42)], signal)).toBe(true);
    await eventually(async () => (await portsOf('four')).join() === '42', WITHIN);
    aheadMs += 30_000;
    expect(await first.write([entry(41), entry(42)], signal)).toBe(false);
    expect((await instance(eureka, 'CARTS', idOf('four', 42)))?.metadata['isthmus-fence']).toBe('2');
    first.lead();
    expect(await first.write([entry(41), entry(42)], signal)).toBe(true);
    aheadMs += 30_000;
    expect(await second.write([entry(42)], signal)).toBe(false);
    expect(await portsOf('four')).toEqual([41, 42]);
    expect((await instance(eureka, 'CARTS', idOf('four', 42)))?.metadata['isthmus-fence']).toBe('3');
  });

  test('a lease is renewed when it is due, and no sooner; what was lost is written again', async () => {
    const one = registrar('five');
    const renewed = async () =>
      (await instance(eureka, 'CARTS', idOf('five', 51)))?.leaseInfo.lastRenewalTimestamp ?? 0;
    await one.write([entry(51)], signal);
    const at = await renewed();
    await one.write([entry(51), entry(52)], signal);
    expect(await renewed()).toBe(at);
    aheadMs += 30_000;
    await one.write([entry(51), entry(52)], signal);
    expect(await renewed()).toBeGreaterThan(at);
    await callEureka(`${eureka.url}/eureka/apps/CARTS/${encodeURIComponent(idOf('five', 51))}`, 'DELETE');
    aheadMs += 30_000;
    await one.write([entry(51), entry(52)], signal);
    expect(await instance(eureka, 'CARTS', idOf('five', 51))).toMatchObject({ status: 'UP' });
  });

  test('an operator of Eureka takes one out: it stays out', async () => {
    const one = registrar('six');
    const url = `${eureka.url}/eureka/apps/CARTS/${encodeURIComponent(idOf('six', 61))}/status`;
    const status = async () => (await instance(eureka, 'CARTS', idOf('six', 61)))?.status;
    await one.write([entry(61)], signal);
    await callEureka(`${url}?value=OUT_OF_SERVICE`, 'PUT');
    aheadMs += 30_000;
    await one.write([entry(61)], signal);
    await one.write([entry(61, 5)], signal);
    expect(await status()).toBe('OUT_OF_SERVICE');
    await callEureka(url, 'DELETE');
    aheadMs += 30_000;
    await one.write([entry(61, 5)], signal);
    expect(await status()).toBe('UP');
  });

  test('without a renewal it goes', { timeout: LONG }, async () => {
    const dead = registrar('dead', [eureka.url], 1);
    await dead.write([entry(5)], signal);
    await eventually(async () => (await own('dead')).length === 1, WITHIN);
    await eventually(async () => (await own('dead')).length === 0, WITHIN);
  });

  test('errors, silence, nonsense and a dead server: it is told, and the next one of its servers is asked', {
    timeout: LONG,
  }, async () => {
    const front = new FaultyProxy(eureka.url);
    fronts.push(front);
    const url = await front.start();
    const alone = registrar('seven', [url]);
    const both = registrar('eight', ['http://127.0.0.1:1', url, eureka.url]);
    for (const name of ['HTTP 500', 'HTTP 403', 'no answer ever', 'a body cut off', 'half a JSON']) {
      const fault = front.fault(name, NONSENSE[name] ?? (() => undefined));
      await fault.begin();
      aheadMs += 60_000;
      await expect(alone.write([entry(71)], signal), name).rejects.toMatchObject({
        code: 'ISTHMUS_EUREKA_WRITE',
      });
      expect(await both.write([entry(81)], signal), name).toBe(true);
      await fault.end();
      expect(await alone.write([entry(71)], signal), name).toBe(true);
      expect(await portsOf('seven'), name).toEqual([71]);
      expect(await portsOf('eight'), name).toEqual([81]);
    }
  });

  test('killed it is told; restarted empty it is written again, before it serves anybody', {
    timeout: LONG,
  }, async () => {
    const closed = await start('eureka', { args: eurekaArgs });
    const one = registrar('nine', [closed.url]);
    await eventually(() => one.write([entry(91)], signal), WITHIN);
    await closed.kill();
    aheadMs += 30_000;
    await expect(one.write([entry(91)], signal)).rejects.toMatchObject({ code: 'ISTHMUS_EUREKA_WRITE' });
    await closed.restartEmpty();
    await one.write([entry(91)], signal).catch(() => undefined);
    expect(await instance(closed, 'CARTS', idOf('nine', 91))).toMatchObject({ status: 'UP' });
    await eventually(() => one.write([entry(91)], signal), WITHIN);
  });
});

describePeers(['eureka', 'nats'], 'sidecars that are written into Eureka', (start) => {
  const ends: (() => Promise<unknown>)[] = [];
  afterAll(async () => {
    for (const end of ends.reverse()) await end();
  }, LONG);

  test('there for callers outside, not read back, never away when a replica dies, gone with the sidecar', {
    timeout: LONG,
  }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-eureka-write-'));
    ends.push(() => rm(folder, { recursive: true, force: true }));
    const [eureka, nats] = [await start('eureka', { args }), await start('nats')];
    const app = await startBackend('orders-1');
    ends.push(() => app.stop());
    const sources = [
      { name: 'eureka', kind: 'eureka', urls: [`${eureka.url}/eureka`], pollSeconds: 1 },
      // The same registry a second time.
      { name: 'again', kind: 'eureka', urls: [`${eureka.url}/eureka`], pollSeconds: 1 },
      { name: 'sidecars', kind: 'sidecar', grace: '3s', writeTo: ['eureka'] },
    ];
    const cluster = { nats: [`nats://${nats.addressOf('nats', 'client')}`] };
    const replicas: ControlPlaneProcess[] = [];
    for (const name of ['a', 'b']) {
      const replica = await startControlPlane(await mkdtemp(join(folder, `${name}-`)), sources, { cluster });
      ends.push(() => replica.stop());
      replicas.push(replica);
    }
    const [a, b] = replicas;
    if (!a || !b) throw new Error('two replicas');
    const sidecar = await startDataPlane('proxy', start, {
      xdsPort: b.xdsPort,
      moreXdsPorts: [a.xdsPort],
      service: 'orders',
      appPort: app.port,
      flags: ['--weight', '20', '--label', 'version=v2'],
    });
    let isStopped = false;
    ends.push(async () => isStopped || (await sidecar.stop()));
    const id = `isthmus:orders:127.0.0.1:${sidecar.inboundPort}`;
    const fence = async () => Number((await instance(eureka, 'ORDERS', id))?.metadata['isthmus-fence'] ?? 0);
    await eventually(async () => {
      expect(await listed(eureka, 'ORDERS')).toMatchObject([
        {
          instanceId: id,
          port: { $: sidecar.inboundPort },
          status: 'UP',
          metadata: { weight: '20', version: 'v2', 'isthmus-owner': 'isthmus' },
        },
      ]);
      return true;
    }, WITHIN);
    // Another instance, which its own client registered, is read: so the source has read past ours by then.
    await registerEureka(eureka.url, 'orders', { address: '127.0.0.1', port: 9 });
    for (const { adminUrl } of replicas) {
      await eventually(async () => {
        const answer = await fetch(`${adminUrl}/api/v1/services/orders/endpoints`);
        const { items } = (await answer.json()) as { items: EndpointJson[] };
        expect(items.map(({ port, sources: of }) => `${port} ${of.join()}`).sort()).toEqual(
          ['9 eureka,again', `${sidecar.inboundPort} sidecars`].sort(),
        );
        return true;
      }, WITHIN);
    }
    const first = await fence();
    let missed = 0;
    let isWatching = true;
    const watching = (async () => {
      while (isWatching) if (!(await instance(eureka, 'ORDERS', id))) missed += 1;
    })();
    // Whoever writes is among those that are killed; a handover shows in the fence.
    for (const victim of [a, b]) {
      await victim.kill();
      if (victim === a) await victim.restart();
    }
    await eventually(async () => (await fence()) > first, WITHIN);
    isWatching = false;
    await watching;
    expect(missed).toBe(0);
    await sidecar.stop();
    isStopped = true;
    await eventually(async () => {
      expect((await listed(eureka, 'ORDERS')).map(({ instanceId }) => instanceId)).toEqual(['127.0.0.1:9']);
      return true;
    }, WITHIN);
  });
});
