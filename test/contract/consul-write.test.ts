// Sidecars written into a true Consul for callers outside: owned, fenced, gone with whoever wrote them, never read back.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EndpointJson } from '../../admin/types.ts';
import { ConsulRegistrar } from '../../adapters/consul/registrar.ts';
import { consulSource } from '../../config/schema.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Written } from '../../model/sidecars.ts';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import type { Peer } from '../support/peer.ts';
import { FaultyProxy, NONSENSE } from './fixtures/faulty-proxy.ts';

const WITHIN = { withinMs: 60_000, everyMs: 100 };
const LONG = 120_000;
const signal = new AbortController().signal;

interface Listed {
  readonly Service: {
    readonly ID: string;
    readonly Address: string;
    readonly Port: number;
    readonly Meta: Record<string, string> | null;
    readonly Weights: { readonly Passing: number };
  };
}

describePeers(['consul'], 'what is written into Consul', (start) => {
  let consul: Peer;
  let folder: string;
  let app: Backend;
  let control: ControlPlaneProcess | undefined;
  let sidecar: DataPlane | undefined;

  beforeAll(async () => {
    consul = await start('consul');
    app = await startBackend('orders-1');
    folder = await mkdtemp(join(tmpdir(), 'isthmus-consul-write-'));
  }, LONG);
  afterAll(async () => {
    await sidecar?.stop();
    await control?.stop();
    await app?.stop();
    await rm(folder, { recursive: true, force: true });
  }, LONG);

  const passing = async (service: string) => {
    const answer = await fetch(`${consul.url}/v1/health/service/${service}?passing=1`, {
      headers: { connection: 'close' },
    });
    const listed = (await answer.json()) as Listed[];
    return listed.map(({ Service }) => ({ ...Service, Meta: Service.Meta ?? {} }));
  };
  const put = async (path: string, body?: object) => {
    const answer = await fetch(`${consul.url}/v1/agent/service/${path}`, {
      method: 'PUT',
      headers: { connection: 'close' },
      ...(body && { body: JSON.stringify(body) }),
    });
    expect(answer.ok, await answer.text()).toBe(true);
  };
  const registrar = (owner: string, ttl = '30s', address = consul.url) =>
    ConsulRegistrar.open({
      config: consulSource.parse({ name: 'c', kind: 'consul', address }),
      owner,
      ttl,
      clock: systemClock,
    });
  const entry = (port: number, weight = 1): Written => ({
    name: 'carts',
    address: '10.0.0.9',
    port,
    weight,
    labels: { version: 'v1', 'isthmus.dev/app-port': '8080' },
    status: 'passing',
  });

  test('it is ours alone: marked, weighed, changed and removed; what others registered stays', async () => {
    await put('register', { ID: 'theirs', Name: 'carts', Address: '10.0.0.8', Port: 80 });
    const one = await registrar('one');
    expect(await one.write([entry(1), entry(2, 7)], signal)).toBe(true);
    await eventually(async () => (await passing('carts')).length === 3, WITHIN);
    const own = (await passing('carts')).filter(({ Meta }) => Meta['isthmus-owner'] === 'one');
    expect(own.map(({ Port, Weights }) => `${Port} ${Weights.Passing}`).sort()).toEqual(['1 1', '2 7']);
    expect(own[0]?.Meta).toMatchObject({ version: 'v1', 'isthmus-fence': '1' });
    await one.write([entry(2, 9)], signal);
    await eventually(async () => {
      const left = (await passing('carts')).map(({ Port, Weights }) => `${Port} ${Weights.Passing}`).sort();
      expect(left).toEqual(['2 9', '80 1']);
      return true;
    }, WITHIN);
    await one.write([{ ...entry(2, 9), status: 'critical' }], signal);
    await eventually(async () => (await passing('carts')).length === 1, WITHIN);
    await one.write([], signal);
    one.close();
    await eventually(async () => (await passing('carts')).map(({ ID }) => ID).join() === 'theirs', WITHIN);
  });

  test('two that write with one owner: the one that came later has it, and the other gives way', async () => {
    const [first, second] = [await registrar('two'), await registrar('two')];
    expect(await first.write([entry(1)], signal)).toBe(true);
    expect(await second.write([entry(2)], signal)).toBe(true);
    expect(await first.write([entry(1)], signal)).toBe(false);
    await eventually(async () => {
      const own = (await passing('carts')).filter(({ Meta }) => Meta['isthmus-owner'] === 'two');
      expect(own.map(({ Port }) => Port)).toEqual([2]);
      return true;
    }, WITHIN);
    first.lead();
    expect(await first.write([entry(1)], signal)).toBe(true);
    expect(await second.write([entry(2)], signal)).toBe(false);
    await first.write([], signal);
    first.close();
    second.close();
  });

  test('one that Consul refuses is told, and keeps no other from being written', async () => {
    const one = await registrar('three');
    const refused = { ...entry(1), name: '' };
    await expect(one.write([refused, entry(31)], signal)).rejects.toMatchObject({
      code: 'ISTHMUS_CONSUL_WRITE',
    });
    await eventually(async () => (await passing('carts')).some(({ Port }) => Port === 31), WITHIN);
    await expect(one.write([refused, entry(32)], signal)).rejects.toThrow('HTTP 400');
    await eventually(async () => {
      const own = (await passing('carts')).filter(({ Meta }) => Meta['isthmus-owner'] === 'three');
      expect(own.map(({ Port }) => Port)).toEqual([32]);
      return true;
    }, WITHIN);
    await one.write([], signal);
    one.close();
  });

  const idAt = (owner: string, port: number) => `${owner}:carts:10.0.0.9:${port}`;

  test('somebody else has the id: it is not touched, and the rest is fenced all the same', async () => {
    await put('register', { ID: idAt('five', 51), Name: 'carts', Address: '10.0.0.7', Port: 80 });
    const [first, second] = [await registrar('five'), await registrar('five')];
    expect(await first.write([entry(52)], signal)).toBe(true);
    await expect(second.write([entry(51), entry(52), entry(53)], signal)).rejects.toThrow('somebody else');
    const own = async () =>
      (await passing('carts'))
        .filter(({ ID }) => ID.startsWith('five:'))
        .map(({ Port, Meta }) => `${Port} ${Meta['isthmus-fence'] ?? 'theirs'}`)
        .sort();
    await eventually(async () => expect(await own()).toEqual(['52 2', '53 2', '80 theirs']) ?? true, WITHIN);
    expect(await first.write([entry(52)], signal)).toBe(false);
    first.lead();
    expect(await first.write([entry(52)], signal)).toBe(true);
    expect(await second.write([entry(51), entry(52), entry(53)], signal)).toBe(false);
    await eventually(async () => expect(await own()).toEqual(['52 3', '80 theirs']) ?? true, WITHIN);
    await first.write([], signal);
    await put(`deregister/${encodeURIComponent(idAt('five', 51))}`);
    first.close();
    second.close();
  });

  test('somebody has taken its check away: it gets one again', async () => {
    const one = await registrar('six');
    await one.write([entry(61)], signal);
    const answer = await fetch(`${consul.url}/v1/agent/check/deregister/service:${idAt('six', 61)}`, {
      method: 'PUT',
      headers: { connection: 'close' },
    });
    expect(answer.ok).toBe(true);
    expect(await one.write([{ ...entry(61), status: 'critical' }], signal)).toBe(true);
    await eventually(async () => !(await passing('carts')).some(({ Port }) => Port === 61), WITHIN);
    await one.write([], signal);
    one.close();
  });

  test('errors, silence and nonsense are told; what others have stays, though all of it is listed', {
    timeout: LONG,
  }, async () => {
    await put('register', { ID: 'theirs', Name: 'carts', Address: '10.0.0.8', Port: 80 });
    const front = new FaultyProxy(consul.url);
    const one = await registrar('seven', '30s', await front.start());
    const ports = async () => (await passing('carts')).map(({ Port }) => Port).sort((a, b) => a - b);
    const names = ['HTTP 500', 'HTTP 403', 'no answer ever', 'a body cut off', 'half a JSON', 'null'];
    for (const name of [...names, 'JSON of another shape', 'a web page with status 200']) {
      const fault = front.fault(name, NONSENSE[name] ?? (() => undefined));
      await fault.begin();
      await expect(one.write([entry(71)], signal), name).rejects.toMatchObject({
        code: 'ISTHMUS_CONSUL_WRITE',
      });
      await fault.end();
      expect(await one.write([entry(71)], signal), name).toBe(true);
      await eventually(async () => expect(await ports(), name).toEqual([71, 80]) ?? true, WITHIN);
    }
    const unfiltered = front.fault(
      'no filter',
      front.asIf((url) => url.replace(/filter=[^&]*/, '')),
    );
    await unfiltered.begin();
    expect(await one.write([], signal)).toBe(true);
    await eventually(async () => expect(await ports()).toEqual([80]) ?? true, WITHIN);
    await put('deregister/theirs');
    one.close();
    await front.stop();
  });

  test('frozen, killed and restarted empty: it is told, and there again with the next beat', {
    timeout: LONG,
  }, async () => {
    const one = await registrar('eight');
    const isThere = async () => (await passing('carts')).some(({ Port }) => Port === 81);
    expect(await one.write([entry(81)], signal)).toBe(true);
    await consul.pause();
    await expect(one.write([entry(81)], signal)).rejects.toThrow('silent for 5 s');
    await consul.resume();
    await eventually(() => one.write([entry(81)], signal), WITHIN);
    await eventually(isThere, WITHIN);
    await consul.kill();
    await expect(one.write([entry(81)], signal)).rejects.toMatchObject({ code: 'ISTHMUS_CONSUL_WRITE' });
    await consul.restartEmpty();
    expect(await isThere()).toBe(false);
    await eventually(() => one.write([entry(81)], signal), WITHIN);
    await eventually(isThere, WITHIN);
    await one.write([], signal);
    one.close();
  });

  test('what has just had its beat gets none because of another change', async () => {
    const front = new FaultyProxy(consul.url);
    const one = await registrar('four', '30s', await front.start());
    const beats = () => front.asked.filter(({ url }) => url.includes('/check/update/'));
    await one.write([entry(41)], signal);
    await one.write([entry(41), entry(42)], signal);
    expect(beats().map(({ url }) => url.slice(-2))).toEqual(['41', '42']);
    await one.write([{ ...entry(41), status: 'warning' }, entry(42)], signal);
    expect(beats().map(({ url }) => url.slice(-2))).toEqual(['41', '42', '41']);
    await one.write([], signal);
    one.close();
    await front.stop();
  });

  test('without a beat it passes no more', { timeout: LONG }, async () => {
    const dead = await registrar('dead', '1s');
    await dead.write([entry(5)], signal);
    await eventually(async () => (await passing('carts')).some(({ Port }) => Port === 5), WITHIN);
    dead.close();
    await eventually(async () => !(await passing('carts')).some(({ Port }) => Port === 5), WITHIN);
  });

  test('a sidecar is there for callers outside, is not read back, and goes with it', {
    timeout: LONG,
  }, async () => {
    control = await startControlPlane(folder, [
      { name: 'consul', kind: 'consul', address: consul.url },
      // The same registry a second time.
      { name: 'again', kind: 'consul', address: consul.url },
      { name: 'sidecars', kind: 'sidecar', grace: '1s', writeTo: ['consul'] },
    ]);
    const { adminUrl, xdsPort } = control;
    sidecar = await startDataPlane('proxy', start, {
      xdsPort,
      service: 'orders',
      appPort: app.port,
      flags: ['--weight', '20', '--label', 'version=v2'],
    });
    const listed = await eventually(async () => {
      const all = await passing('orders');
      return all.length > 0 && all;
    }, WITHIN);
    expect(listed).toMatchObject([
      {
        Address: '127.0.0.1',
        Port: sidecar.inboundPort,
        Weights: { Passing: 20 },
        Meta: { version: 'v2', 'isthmus-owner': 'isthmus' },
      },
    ]);
    // Another instance, which Consul's own agent registered, is read: so the source has read past ours by then.
    await put('register', { ID: 'vm', Name: 'orders', Address: '127.0.0.1', Port: 9 });
    await eventually(async () => {
      const answer = await fetch(`${adminUrl}/api/v1/services/orders/endpoints`);
      const { items } = (await answer.json()) as { items: EndpointJson[] };
      expect(items.map(({ port, sources }) => `${port} ${sources.join()}`).sort()).toEqual(
        [`9 consul,again`, `${sidecar?.inboundPort ?? 0} sidecars`].sort(),
      );
      return true;
    }, WITHIN);
    await sidecar.stop();
    sidecar = undefined;
    await eventually(async () => {
      expect((await passing('orders')).map(({ ID }) => ID)).toEqual(['vm']);
      return true;
    }, WITHIN);
  });
});
