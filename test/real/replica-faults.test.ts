// Three control planes whose clocks are minutes apart, over three NATS servers and a true Consul: each of them is
// killed, frozen and cut off by dropped packets, while operators write on every side. Nothing that callers use is
// lost meanwhile; once it is over, one of them watches, all serve the same bytes, and all that was written is
// there. The default run does a part of it; ISTHMUS_LONG=1 all.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OverrideJson, ResourceJson, SourceJson } from '../../admin/types.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { Observer } from '../support/observer.ts';
import type { Peer } from '../support/peer.ts';
import { startRelay } from '../support/relay.ts';
import type { Relay } from '../support/relay.ts';

const LONG = process.env['ISTHMUS_LONG'] === '1';
const TIMEOUT = { timeout: 240_000 };
const WITHIN = { withinMs: 90_000, everyMs: 100 };
const SERVERS = ['nats1', 'nats2', 'nats3'] as const;
const MINUTE = 60_000;
const SKEWS = [4 * MINUTE, 0, -3 * MINUTE];
const INSTANCES = ['10.1.0.1', '10.1.0.2', '10.1.0.3'];

interface Replica {
  readonly plane: ControlPlaneProcess;
  /** One to each NATS server. */
  readonly relays: readonly Relay[];
  readonly toConsul: Relay;
  readonly observer: Observer;
  readonly token: string;
}

describePeers(['consul', 'nats-cluster'], 'faults of three replicas', (start) => {
  let folder: string;
  let consul: Peer;
  let nats: Peer;
  const replicas: Replica[] = [];
  /** What must be there at the end of each test, by endpoint or name. */
  const overrides = new Set<string>();
  const resources = new Set<string>();
  let count = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-faults-'));
    [consul, nats] = await Promise.all([start('consul'), start('nats-cluster')]);
    for (const address of INSTANCES) {
      const body = JSON.stringify({ Name: 'orders', ID: address, Address: address, Port: 80 });
      const answer = await fetch(`${consul.url}/v1/agent/service/register`, { method: 'PUT', body });
      expect(answer.ok).toBe(true);
    }
    replicas.push(...(await Promise.all(SKEWS.map(startReplica))));
    await healed();
  }, TIMEOUT.timeout);
  afterAll(async () => {
    for (const server of SERVERS) await nats?.resume(server);
    for (const { plane, relays, toConsul, observer } of replicas) {
      signal(plane.pid, 'SIGCONT');
      observer.close();
      await plane.stop();
      for (const relay of [...relays, toConsul]) await relay.stop();
    }
    await rm(folder, { recursive: true, force: true });
  }, TIMEOUT.timeout);

  const startReplica = async (skewMs: number): Promise<Replica> => {
    const own = await mkdtemp(join(folder, 'replica-'));
    const relays = await Promise.all(SERVERS.map((server) => startRelay(nats.addressOf(server, 'client'))));
    const toConsul = await startRelay(new URL(consul.url).host);
    const cluster = { nats: relays.map(({ address }) => `nats://${address}`) };
    const sources = [{ name: 'consul', kind: 'consul', address: `http://${toConsul.address}` }];
    const plane = await startControlPlane(own, sources, { cluster, dataDir: './data' }, {}, { skewMs });
    const token = (await readFile(join(own, 'data', 'admin-token'), 'utf8')).trim();
    const observer = new Observer(plane.xdsPort, ['orders.default']);
    observer.connect();
    return { plane, relays, toConsul, observer, token };
  };

  const get = async <T>({ plane }: Replica, path: string): Promise<T> => {
    const answer = await fetch(`${plane.adminUrl}${path}`, { headers: { connection: 'close' } });
    return (await answer.json()) as T;
  };
  const put = async ({ plane, token }: Replica, path: string, body: object) => {
    const answer = await fetch(`${plane.adminUrl}/api/v1/${path}`, {
      method: 'PUT',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${token}`,
        connection: 'close',
      },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`HTTP ${answer.status} ${await answer.text()}`);
  };
  /** An override and a resource, both new, both to be there when all is well again. */
  const writeOn = async (replica: Replica) => {
    count += 1;
    const [address, name] = [`10.2.0.${count}:80`, `policy-${count}`];
    await put(replica, `services/orders/endpoints/${encodeURIComponent(address)}/override`, {
      drain: true,
      for: '1h',
      reason: `fault ${count}`,
    });
    overrides.add(address);
    await put(replica, `resources/ServicePolicy/default/${name}`, {
      apiVersion: 'isthmus.dev/v1alpha1',
      kind: 'ServicePolicy',
      metadata: { name },
      spec: { service: `service-${count}`, policy: 'isolate' },
    });
    resources.add(name);
  };

  /** The one that watches, when all agree, no other one has a connection to Consul, and the source is live. */
  const watcher = (of: readonly Replica[] = replicas) =>
    eventually(async () => {
      const said = await Promise.all(
        of.map((one) => get<{ items: SourceJson[] }>(one, '/api/v1/sources').then(({ items }) => items[0])),
      );
      for (const source of said) expect(source?.state).toBe('live');
      const names = new Set(said.map((source) => source?.watcher));
      expect(names.size).toBe(1);
      const [name] = names;
      const watching = of.find(({ plane }) => name?.includes(`-${plane.pid}-`));
      expect(watching).toBeDefined();
      expect(of.filter(({ toConsul }) => toConsul.open > 0)).toEqual([watching]);
      return watching;
    }, WITHIN);
  const same = async (path: string, pick: (text: string) => string = (text) => text) =>
    eventually(async () => {
      const texts = await Promise.all(
        replicas.map(async ({ plane }) =>
          pick(await (await fetch(`${plane.adminUrl}${path}`, { headers: { connection: 'close' } })).text()),
        ),
      );
      for (const text of texts) expect(text).toBe(texts[0]);
      return texts[0];
    }, WITHIN);
  const withoutRemaining = (text: string) => text.replace(/"remainingSeconds":\d+/g, '');

  const healed = async () => {
    const watching = await watcher();
    for (const replica of replicas) {
      await eventually(async () => {
        const { items: set } = await get<{ items: OverrideJson[] }>(replica, '/api/v1/overrides');
        expect(set.map(({ address }) => address).sort()).toEqual([...overrides].sort());
        const { items: applied } = await get<{ items: ResourceJson[] }>(replica, '/api/v1/resources');
        expect(applied.map(({ name }) => name).sort()).toEqual([...resources].sort());
        return true;
      }, WITHIN);
    }
    await same('/api/v1/overrides', withoutRemaining);
    await same('/api/v1/resources');
    await same('/debug/config_dump');
    for (const { observer } of replicas) {
      await eventually(() => observer.held('eds').has('orders.default'), WITHIN);
      for (const { endpoints } of observer.record) {
        const of = endpoints.get('orders.default');
        if (of) expect(of.size).toBe(INSTANCES.length);
      }
    }
    return watching;
  };
  const others = (one: Replica) => replicas.filter((replica) => replica !== one);
  const cut = (one: Replica) => one.relays.forEach((relay) => relay.cut());
  const heal = (one: Replica) => one.relays.forEach((relay) => relay.heal());

  (LONG ? it : it.skip)(
    'an override ends on all of them, though their clocks are minutes apart',
    TIMEOUT,
    async () => {
      for (const replica of LONG ? replicas : replicas.slice(0, 1)) {
        const path = `services/orders/endpoints/${encodeURIComponent('10.9.0.1:80')}/override`;
        await put(replica, path, { drain: true, for: '15s' });
        const has = async (one: Replica) =>
          (await get<{ items: OverrideJson[] }>(one, '/api/v1/overrides')).items.some(
            ({ address }) => address === '10.9.0.1:80',
          );
        for (const other of others(replica)) await eventually(() => has(other), { withinMs: 14_000 });
        for (const one of replicas) await eventually(async () => !(await has(one)), WITHIN);
      }
    },
  );

  for (const [index, skew] of SKEWS.entries()) {
    const name = `the replica with a clock ${skew / MINUTE} minutes ahead`;
    const it1 = LONG || index === 0 ? it : it.skip;
    it1(`${name} is cut off: both sides take writes, none is lost`, TIMEOUT, async () => {
      const one = (LONG ? replicas[index] : await watcher()) as Replica;
      cut(one);
      await writeOn(one);
      for (const other of others(one)) await writeOn(other);
      await watcher(others(one)).catch(() => undefined);
      await eventually(async () => {
        const { items } = await get<{ items: SourceJson[] }>(one, '/api/v1/sources');
        return items[0]?.watcher === null;
      }, WITHIN);
      await writeOn(one);
      heal(one);
      await healed();
    });
    (LONG || index === 1 ? it : it.skip)(`${name} is frozen, and thaws`, TIMEOUT, async () => {
      const one = (LONG ? replicas[index] : await watcher()) as Replica;
      process.kill(one.plane.pid, 'SIGSTOP');
      const rest = others(one);
      for (const other of rest) await writeOn(other);
      await eventually(async () => {
        const { items } = await get<{ items: SourceJson[] }>(rest[0] as Replica, '/api/v1/sources');
        return rest.some(({ plane }) => items[0]?.watcher?.includes(`-${plane.pid}-`));
      }, WITHIN);
      process.kill(one.plane.pid, 'SIGCONT');
      await healed();
    });
    (LONG || index === 2 ? it : it.skip)(`${name} is killed, and comes back`, TIMEOUT, async () => {
      const one = replicas[index] as Replica;
      await writeOn(one);
      await one.plane.kill();
      for (const other of others(one)) await writeOn(other);
      await one.plane.restart();
      one.observer.connect();
      await healed();
    });
  }

  for (const server of SERVERS) {
    (LONG ? it : it.skip)(`${server} is killed`, TIMEOUT, async () => {
      await nats.kill(server);
      for (const replica of replicas) await writeOn(replica);
      await healed();
      await nats.restart(server);
      await healed();
    });
    (LONG ? it : it.skip)(`${server} is frozen`, TIMEOUT, async () => {
      await nats.pause(server);
      for (const replica of replicas) await writeOn(replica);
      await healed();
      await nats.resume(server);
      await healed();
    });
  }

  it(
    'all NATS servers are gone: every replica takes writes, and all of them are there when they are back',
    TIMEOUT,
    async () => {
      for (const server of SERVERS) await nats.kill(server);
      for (const replica of replicas) await writeOn(replica);
      for (const server of SERVERS) await nats.restart(server);
      await healed();
    },
  );

  (LONG ? it : it.skip)('NATS loses its data: the replicas fill it again', TIMEOUT, async () => {
    for (const server of SERVERS) await nats.kill(server);
    for (const server of SERVERS) await nats.restartEmpty(server);
    await writeOn(replicas[0] as Replica);
    await healed();
  });
});

/** A process that was killed meanwhile needs no signal. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
  }
}
