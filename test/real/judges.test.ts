// Clients that nobody here wrote, all at once on one control plane and under constant load: two versions of
// Envoy, gRPC for Node and gRPC's C core. Whatever happens to services, streams and servers, no request fails,
// nothing is refused but what is made to be, and nothing is left waiting.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { ENVOYS, startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, EnvoyKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startGrpcBackend } from '../support/grpc/backend.ts';
import { startGrpcCaller } from '../support/grpc/callers.ts';
import type { GrpcCaller, GrpcKind } from '../support/grpc/callers.ts';
import { isthmusSync } from '../support/isthmus.ts';
import { startLoad } from '../support/load.ts';
import type { Load } from '../support/load.ts';
import { startTcpFront } from '../support/tcp-front.ts';
import type { TcpFront } from '../support/tcp-front.ts';

const GRPCS: readonly GrpcKind[] = ['grpc-js', 'grpcio'];
const STEP_MS = 240_000;
const WITHIN = { withinMs: 60_000, everyMs: 100 };
const RATE = { rate: 50, callers: 4 };
/** TEST-NET-1 (RFC 5737): no machine has it, so no listener can be bound to it. */
const NOT_OURS = '192.0.2.1:15001';

/** The same instance twice, since Envoy is called by HTTP/1 here: `web` and `rpc` are its services. */
interface Instance {
  readonly name: string;
  readonly web: Backend;
  readonly rpc: Backend;
}

interface Client {
  readonly name: string;
  readonly load: Load;
  readonly refresh: () => Promise<void>;
}

describePeers(['envoy', 'envoy-1.36', 'grpcio'], 'every client at once', (start) => {
  let folder: string;
  let front: TcpFront;
  const replicas: ControlPlaneProcess[] = [];
  const envoys: DataPlane[] = [];
  const clients: Client[] = [];
  const stops: (() => Promise<unknown>)[] = [];
  const instances = new Map<string, Instance>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-judges-'));
    front = await startTcpFront();
    stops.push(
      () => rm(folder, { recursive: true, force: true }),
      () => front.stop(),
    );
    for (const name of ['a', 'b', 'c']) {
      const instance = { name, web: await startBackend(name), rpc: await startGrpcBackend(name) };
      instances.set(name, instance);
      stops.push(
        () => instance.web.stop(),
        () => instance.rpc.stop(),
      );
    }
    await offer({ web: ['a', 'b'], rpc: ['a', 'b'], users: ['a'], 'users-rpc': ['a'] });
    for (const number of [1, 2]) {
      const own = await mkdtemp(join(folder, `${number}-`));
      // Whatever the file says is believed at once: what is tested here is what clients make of it.
      const believed = { guard: { shadow: true }, damping: { enabled: false } };
      const source = { name: 'vms', kind: 'file', path: join(folder, 'vms.json'), ...believed };
      const replica = await startControlPlane(own, [source]);
      replicas.push(replica);
      stops.push(() => replica.stop());
    }
    front.turnTo(replicas[0]?.xdsPort);
    await Promise.all([...ENVOYS.map(addEnvoy), ...GRPCS.map(addGrpc)]);
  }, STEP_MS);

  afterAll(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  }, STEP_MS);

  /** Which instances offer which service; the others are not listed. */
  async function offer(services: Readonly<Record<string, readonly string[]>>): Promise<void> {
    const entries = Object.entries(services).map(([service, names]) => ({
      targets: names.map((name) => {
        const { address, port } = backendOf(name, service.endsWith('rpc') ? 'rpc' : 'web');
        return `${address}:${port}`;
      }),
      labels: { service },
    }));
    // Whole or not at all: nobody reads half a file.
    await writeFile(join(folder, 'vms.json.new'), JSON.stringify(entries));
    await rename(join(folder, 'vms.json.new'), join(folder, 'vms.json'));
  }
  const backendOf = (name: string, kind: 'web' | 'rpc'): Backend => {
    const instance = instances.get(name);
    if (!instance) throw new Error(`no instance ${name}`);
    return instance[kind];
  };

  async function addEnvoy(kind: EnvoyKind): Promise<void> {
    const plane = await startDataPlane(kind, start, { xdsPort: front.port, service: 'shop' });
    envoys.push(plane);
    await eventually(async () => (await call(plane.port, 'web')) === 200, WITHIN);
    const load = startLoad({ port: plane.port, headers: { host: 'web' }, ...RATE });
    stops.push(() => load.stop());
    clients.push({ name: kind, load, refresh: () => Promise.resolve() });
  }
  async function addGrpc(kind: GrpcKind): Promise<void> {
    const caller = await grpcCaller(kind, 'xds:///rpc', kind);
    clients.push({ name: kind, load: caller, refresh: () => caller.refresh() });
  }
  async function grpcCaller(kind: GrpcKind, target: string, nodeId: string): Promise<GrpcCaller> {
    const caller = await startGrpcCaller(kind, start, { target, nodeId, xdsPort: front.port });
    stops.push(() => caller.stop());
    return caller;
  }

  /** Every client is answered by exactly these from some moment on. */
  const answeredBy = async (...names: readonly string[]) => {
    const settled = clients.map(({ name, load, refresh }) =>
      eventually(
        async () => {
          await refresh();
          load.mark();
          await eventually(async () => (await refresh(), load.good() >= 50), WITHIN);
          expect([...load.answers().keys()].sort()).toEqual(names);
          return true;
        },
        { ...WITHIN, what: `${name} is answered by ${names.join(' and ')}` },
      ),
    );
    await Promise.all(settled);
  };
  /** A step under load: no request of any client failed from its begin to its end. */
  const step = (title: string, body: () => Promise<void>) =>
    it(title, { timeout: STEP_MS }, async () => {
      await body();
      await Promise.all(clients.map(({ refresh }) => refresh()));
      for (const { name, load } of clients) expect(load.failures(), name).toEqual([]);
    });
  const proxies = async (at: ControlPlaneProcess | undefined) => {
    const answer = await fetch(`${at?.adminUrl}/api/v1/proxies`, { headers: { connection: 'close' } });
    return ((await answer.json()) as { items: ProxyItem[] }).items;
  };
  /** All of them are there and have taken everything. */
  const synced = (at: ControlPlaneProcess | undefined) =>
    eventually(async () => {
      const all = await proxies(at);
      const kinds = all.map(({ kind }) => kind).sort();
      expect(kinds).toEqual(['envoy', 'envoy', 'grpc', 'grpc']);
      for (const { node, types } of all) {
        for (const type of ['cds', 'eds', 'lds', 'rds']) {
          expect(`${node} ${type} ${types[type]?.state}`).toBe(`${node} ${type} SYNCED`);
        }
      }
      return true;
    }, WITHIN);

  step('they converge', async () => {
    await answeredBy('a', 'b');
    await synced(replicas[0]);
  });

  step('an instance comes, and one goes', async () => {
    await offer({ web: ['a', 'b', 'c'], rpc: ['a', 'b', 'c'], users: ['a'], 'users-rpc': ['a'] });
    await answeredBy('a', 'b', 'c');
    await offer({ web: ['b', 'c'], rpc: ['b', 'c'], users: ['a'], 'users-rpc': ['a'] });
    await answeredBy('b', 'c');
  });

  step('a service is deleted, and comes back', async () => {
    const callers = await Promise.all(
      GRPCS.map((kind) => grpcCaller(kind, 'xds:///users-rpc:443', `users-${kind}`)),
    );
    const state = async (caller: GrpcCaller) => (await caller.refresh(), caller);
    for (const caller of callers) await eventually(async () => (await state(caller)).good() > 0, WITHIN);
    await offer({ web: ['b', 'c'], rpc: ['b', 'c'] });
    for (const { port } of envoys) await eventually(async () => (await call(port, 'users')) === 404, WITHIN);
    for (const caller of callers) {
      const failures = await eventually(async () => {
        const all = (await state(caller)).failures();
        return all.length > 0 && all;
      }, WITHIN);
      expect(failures[0]).toContain('UNAVAILABLE');
    }
    await offer({ web: ['b', 'c'], rpc: ['b', 'c'], users: ['c'], 'users-rpc': ['c'] });
    for (const { port } of envoys) await eventually(async () => (await call(port, 'users')) === 200, WITHIN);
    for (const caller of callers) {
      await eventually(async () => ((await state(caller)).answers().get('c') ?? 0) > 0, WITHIN);
      await caller.stop();
    }
    await answeredBy('b', 'c');
  });

  step('their streams are cut', async () => {
    front.cut();
    await synced(replicas[0]);
    await offer({ web: ['a', 'b'], rpc: ['a', 'b'], users: ['a'], 'users-rpc': ['a'] });
    await answeredBy('a', 'b');
  });

  step('the server is killed, and comes back to another world', async () => {
    await replicas[0]?.kill();
    await answeredBy('a', 'b');
    await offer({ web: ['b', 'c'], rpc: ['b', 'c'], users: ['a'], 'users-rpc': ['a'] });
    await replicas[0]?.restart();
    await answeredBy('b', 'c');
    await synced(replicas[0]);
  });

  step('they move to another replica, and the first one dies', async () => {
    front.turnTo(replicas[1]?.xdsPort);
    front.cut();
    await synced(replicas[1]);
    await replicas[0]?.kill();
    await offer({ web: ['a', 'c'], rpc: ['a', 'c'], users: ['a'], 'users-rpc': ['a'] });
    await answeredBy('a', 'c');
  });

  step('what one of them refuses is its own affair', async () => {
    const refusers = ENVOYS.map((kind) =>
      start(kind, {
        files: {
          'envoy.yaml': (place) =>
            isthmusSync(
              ...['bootstrap', 'envoy', '--service', 'refuser', '--node-id', `refuser-${kind}`],
              ...['--xds', `127.0.0.1:${front.port}`, '--outbound', NOT_OURS],
              ...['--admin-port', String(place.port('admin'))],
            ),
        },
      }),
    );
    for (const refuser of await Promise.all(refusers)) stops.push(() => refuser.stop());
    await eventually(async () => {
      const refused = (await proxies(replicas[1])).filter(({ node }) => node.startsWith('refuser-'));
      expect(refused.map(({ types }) => types['lds']?.state)).toEqual(['NACKED', 'NACKED']);
      expect(refused.map(({ types }) => types['cds']?.state)).toEqual(['SYNCED', 'SYNCED']);
      for (const { types } of refused) expect(types['lds']?.error).toContain('192.0.2.1');
      return true;
    }, WITHIN);
    await offer({ web: ['b', 'c'], rpc: ['b', 'c'], users: ['a'], 'users-rpc': ['a'] });
    await answeredBy('b', 'c');
  });

  step('nothing was refused, timed out or is left warming', async () => {
    for (const envoy of envoys) {
      const bad = [...(await envoy.stats())].filter(
        ([name, value]) =>
          value > 0 && /update_rejected|init_fetch_timeout|warming_clusters|listeners_warming/.test(name),
      );
      expect(bad, envoy.kind).toEqual([]);
    }
    for (const { node, types } of await proxies(replicas[1])) {
      if (node.startsWith('refuser-')) continue;
      expect(
        Object.values(types)
          .map(({ error }) => error)
          .join(''),
        node,
      ).toBe('');
    }
  });
});

interface ProxyItem {
  readonly node: string;
  readonly kind: string;
  readonly types: Readonly<Record<string, { readonly state: string; readonly error: string }>>;
}

/** The status of the answer. */
function call(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, headers: { host }, agent: false, timeout: 5_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on('error', reject);
  });
}
