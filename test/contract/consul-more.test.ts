// What only some Consul setups show, each on a true server: ACLs, two datacenters, a server that comes back
// empty, many changes, what Consul filters and refuses by itself.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fetch } from 'undici';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import { consulDatacenters } from '../../adapters/consul/datacenters.ts';
import { createConsulSource } from '../../adapters/consul/index.ts';
import type { ConsulTimings } from '../../adapters/consul/index.ts';
import { createDiscoverer } from '../../adapters/registry.ts';
import { SEATS, Seats } from '../../adapters/seats.ts';
import { consulSource } from '../../config/schema.ts';
import { describeError } from '../../lib/errors.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { watchLeaks } from '../support/leaks.ts';
import type { Peer } from '../support/peer.ts';
import { findBinary } from '../support/peers.ts';
import { testDeps } from './fixtures/deps.ts';
import { Listener } from './listener.ts';

const timings: ConsulTimings = {
  probeEveryMs: 200,
  deadlineMs: 2_000,
  answerMs: 2_000,
  backoffMs: 50,
  maxBackoffMs: 200,
  waitMs: 2_000,
  minIntervalMs: 20,
  roundMs: 100,
};

const onlyProcesses = (why: string) => [inject('peers').consul.mode === 'container' ? why : undefined];

const listeners: Listener[] = [];
async function listen(config: object, over: ConsulTimings = {}, seats = new Seats()): Promise<Listener> {
  const parsed = consulSource.parse({ name: 'consul', kind: 'consul', ...config });
  const deps = { ...testDeps(), seats };
  const listener = new Listener(await createConsulSource(parsed, deps, { ...timings, ...over }));
  listeners.push(listener);
  return listener;
}
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
});

const soon = <T>(check: () => T | Promise<T>) => eventually(check, { withinMs: 20_000, everyMs: 20 });

async function call(url: string, method: string, body?: object, token = ''): Promise<unknown> {
  const answer = await fetch(url, {
    method,
    headers: { connection: 'close', ...(token === '' ? {} : { 'x-consul-token': token }) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: HTTP ${answer.status} ${text}`);
  return text === '' ? undefined : (JSON.parse(text) as unknown);
}

interface Registration {
  readonly node?: string;
  readonly service: string;
  readonly port?: number;
  readonly tags?: readonly string[];
  readonly nodeMeta?: Record<string, string>;
  readonly weight?: number;
  readonly token?: string;
  readonly status?: string;
}
const register = (url: string, r: Registration) =>
  call(
    `${url}/v1/catalog/register`,
    'PUT',
    {
      Node: r.node ?? 'n1',
      Address: '10.1.0.1',
      ...(r.nodeMeta ? { NodeMeta: r.nodeMeta } : {}),
      Service: {
        ID: `${r.service}-${r.port ?? 80}`,
        Service: r.service,
        Port: r.port ?? 80,
        Tags: r.tags ?? [],
        Weights: { Passing: r.weight ?? 1, Warning: 1 },
      },
      ...(r.status === undefined
        ? {}
        : {
            Check: {
              CheckID: `check-${r.service}`,
              Name: 'c',
              Status: r.status,
              ServiceID: `${r.service}-${r.port ?? 80}`,
            },
          }),
    },
    r.token,
  );
const namesOf = (listener: Listener) => [...listener.groups.keys()].sort();

describePeers(['consul'], 'a Consul server with ACLs', (start) => {
  const root = '11111111-2222-3333-4444-555555555555';
  const acl = `acl { enabled = true default_policy = "deny" tokens { initial_management = "${root}" agent = "${root}" } }`;
  const rules = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }';
  let consul: Peer;
  let dir: string;
  const newToken = async () =>
    (await call(`${consul.url}/v1/acl/token`, 'PUT', { Policies: [{ Name: 'read' }] }, root)) as {
      AccessorID: string;
      SecretID: string;
    };
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'isthmus-token-'));
    consul = await start('consul', { args: ['-hcl', acl] });
    await soon(async () => {
      await call(`${consul.url}/v1/acl/policy`, 'PUT', { Name: 'read', Rules: rules }, root);
      return true;
    });
    await register(consul.url, { service: 'orders', token: root });
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test('a wrong token is told in Consul’s words, with what to do; no token sees nothing and says so', async () => {
    const wrong = await listen({ address: consul.url, token: '00000000-0000-0000-0000-000000000001' });
    await soon(() => wrong.stale);
    expect(describeError(wrong.stale)).toContain('Consul denies the catalog: ACL not found');
    expect(wrong.stale).toMatchObject({
      code: 'ISTHMUS_CONSUL_DENIED',
      hint: expect.stringContaining('token'),
    });
    const none = await listen({ address: consul.url });
    await soon(() => none.stale);
    expect(describeError(none.stale)).toContain('nothing of it is shown without a token');
    expect(wrong.log).not.toContain('sync');
    expect(none.log).not.toContain('sync');
  });

  test('a token revoked, and another one put into its file: stale meanwhile, and nothing is lost', async () => {
    const tokenFile = join(dir, 'token');
    const first = await newToken();
    await writeFile(tokenFile, `${first.SecretID}\n`);
    const listener = await listen({ address: consul.url, tokenFile });
    await soon(() => namesOf(listener).includes('orders.default'));
    await call(`${consul.url}/v1/acl/token/${first.AccessorID}`, 'DELETE', undefined, root);
    await soon(() => listener.stale);
    expect(namesOf(listener)).toEqual(['orders.default']);
    await writeFile(tokenFile, (await newToken()).SecretID);
    await soon(() => listener.stale === undefined);
    await register(consul.url, { service: 'orders', port: 81, token: root });
    await soon(() => listener.keys('orders.default').length === 2);
    expect(listener.logOf('orders.default')).not.toContain('gone');
  });

  test('a token changed in time: not stale for a moment', async () => {
    const tokenFile = join(dir, 'token');
    const first = await newToken();
    await writeFile(tokenFile, first.SecretID);
    const listener = await listen({ address: consul.url, tokenFile });
    await soon(() => listener.first === 'sync');
    await writeFile(tokenFile, (await newToken()).SecretID);
    await call(`${consul.url}/v1/acl/token/${first.AccessorID}`, 'DELETE', undefined, root);
    await register(consul.url, { service: 'stock', token: root });
    await soon(() => listener.keys('stock.default').length === 1);
    expect(listener.log).not.toContain('stale');
  });

  test('a token file that is not there is named', async () => {
    const listener = await listen({ address: consul.url, tokenFile: join(dir, 'absent') });
    await soon(() => listener.stale);
    expect(describeError(listener.stale)).toContain(`cannot read tokenFile: ${join(dir, 'absent')}`);
  });
});

describePeers(
  ['consul'],
  'two Consul datacenters',
  (start) => {
    let one: Peer;
    let two: Peer;
    beforeAll(async () => {
      one = await start('consul');
      two = await start('consul', {
        args: ['-datacenter=dc2', '-node=node2', `-retry-join-wan=127.0.0.1:${one.ports['wan']}`],
      });
      await register(two.url, { service: 'only-two' });
      await register(one.url, { service: 'only-one' });
      await soon(async () => {
        const all = (await call(`${one.url}/v1/catalog/datacenters`, 'GET')) as string[];
        return all.length === 2;
      });
    });

    test('one goes dark: the other is not touched, and nothing of it is lost', async () => {
      const first = await listen({ address: one.url, datacenter: 'dc1' });
      const second = await listen({ address: one.url, datacenter: 'dc2' });
      await soon(() => namesOf(first).includes('only-one.default'));
      await soon(() => namesOf(second).includes('only-two.default'));
      expect(namesOf(first)).not.toContain('only-two.default');
      first.forgetLog();
      await two.kill();
      await soon(() => second.stale);
      expect(namesOf(second)).toContain('only-two.default');
      await register(one.url, { service: 'only-one', port: 81 });
      await soon(() => first.keys('only-one.default').length === 2);
      expect(first.log).not.toContain('stale');
      await two.restart();
      await soon(() => second.stale === undefined);
      expect(namesOf(second)).toContain('only-two.default');
    });

    test('a datacenter that Consul does not know is named', async () => {
      const listener = await listen({ address: one.url, datacenter: 'dc9' });
      await soon(() => listener.stale);
      expect(listener.stale).toMatchObject({
        code: 'ISTHMUS_CONSUL_DATACENTER',
        message: 'Consul knows no way to the datacenter "dc9"',
      });
    });

    test('datacenters: all finds both, and again what comes later', async () => {
      const noLeaks = watchLeaks();
      const config = consulSource.parse({
        name: 'consul',
        kind: 'consul',
        address: one.url,
        datacenters: 'all',
        rename: { 'only-*': '*' },
      });
      const stop = new AbortController();
      const faults: Error[] = [];
      const onFault = (fault: Error) => faults.push(fault);
      const found = consulDatacenters(config, testDeps(), onFault, stop.signal, { everyMs: 50 });
      const { value } = await found.next();
      const sources = [...(value ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(sources.map(({ name, datacenter }) => [name, datacenter])).toEqual([
        ['consul-dc1', 'dc1'],
        ['consul-dc2', 'dc2'],
      ]);
      // Each is an ordinary source, shaped as the entry says.
      const second = sources[1];
      if (!second) throw new Error('no second source');
      const listener = new Listener(await createDiscoverer(second, testDeps()));
      listeners.push(listener);
      await soon(() => namesOf(listener).includes('two.default'));
      await listener.stop();
      const next = found.next();
      stop.abort(new Error('over'));
      expect((await next).done).toBe(true);
      expect(faults).toEqual([]);
      await noLeaks();
    });
  },
  onlyProcesses('containers do not reach each other here'),
);

describePeers(['consul'], 'a Consul server, further', (start) => {
  let consul: Peer;
  beforeAll(async () => {
    consul = await start('consul');
  });

  test('filters of Consul: tags, meta of the node, an expression; stale and consistent reads', async () => {
    const { url } = consul;
    await register(url, {
      service: 'f',
      port: 1,
      tags: ['blue', 'prod'],
      node: 'na',
      nodeMeta: { rack: 'a' },
    });
    await register(url, {
      service: 'f',
      port: 2,
      tags: ['green', 'prod'],
      node: 'nb',
      nodeMeta: { rack: 'b' },
    });
    await register(url, { service: 'f-plain', node: 'nb', nodeMeta: { rack: 'b' } });
    const portsFor = async (config: object) => {
      const listener = await listen({ address: url, include: { services: ['f*'] }, ...config });
      await soon(() => listener.first === 'sync');
      return namesOf(listener).map((name) => `${name} ${listener.keys(name).length}`);
    };
    expect(await portsFor({})).toEqual(['f-plain.default 1', 'f.default 2']);
    expect(await portsFor({ tags: ['prod', 'blue'] })).toEqual(['f.default 1']);
    expect(await portsFor({ nodeMeta: { rack: 'a' } })).toEqual(['f.default 1']);
    expect(await portsFor({ filter: 'Service.Port == 2' })).toEqual(['f-plain.default 0', 'f.default 1']);
    expect(await portsFor({ consistency: 'stale' })).toEqual(['f-plain.default 1', 'f.default 2']);
    expect(await portsFor({ consistency: 'consistent' })).toEqual(['f-plain.default 1', 'f.default 2']);
  });

  test.each([
    [{ filter: 'Servce.Port == 2' }, 'Consul does not take the question for service'],
    [
      { namespace: 'team' },
      'Consul does not take the question for the catalog: Invalid query parameter: "ns"',
    ],
    [
      { partition: 'team' },
      'Consul does not take the question for the catalog: Invalid query parameter: "partition"',
    ],
  ])('%j is refused by Consul, and its words are told', async (config, message) => {
    await register(consul.url, { service: 'g' });
    const listener = await listen({ address: consul.url, ...config });
    await soon(() => listener.stale);
    expect(describeError(listener.stale)).toContain(message);
  });

  test.each([64, 2])(
    '50 changes a second, %i watches: the end is the registry’s, told in fewer words',
    async (maxWatches) => {
      const services = ['h1', 'h2', 'h3', 'h4', 'h5'].map((name) => `${name}-${maxWatches}`);
      const address = consul.url;
      for (const service of services) await register(address, { service });
      const include = { services: [`h*-${maxWatches}`] };
      const listener = await listen({ address, include }, { maxWatches, minIntervalMs: 500 });
      await soon(() => namesOf(listener).length === services.length);
      listener.forgetLog();
      const changes = 500;
      const wanted = new Map<string, number>();
      const began = performance.now();
      for (let n = 0; n < changes; n += 1) {
        const service = services[n % services.length] ?? '';
        wanted.set(`${service}.default`, n + 2);
        await register(address, { service, weight: n + 2 });
        await eventually(() => performance.now() - began >= n * 20, { withinMs: 5_000, everyMs: 2 });
      }
      await soon(() => {
        for (const [service, weight] of wanted) {
          expect(listener.groups.get(service)?.endpoints.map((e) => e.weight)).toEqual([weight]);
        }
        return true;
      });
      const told = [...wanted.keys()].flatMap((service) => listener.logOf(service));
      expect(new Set(told)).toEqual(new Set(['group']));
      expect(told.length).toBeLessThan(changes / 2);
    },
  );

  test('a check that begins and ceases to fail is heard of beyond the watches', async () => {
    const address = consul.url;
    await register(address, { service: 'k1' });
    await register(address, { service: 'k2', status: 'passing' });
    const include = { services: ['k*'] };
    // A round would come after a minute only: what is heard sooner was named by the failing checks.
    const listener = await listen({ address, include }, { maxWatches: 1, roundMs: 60_000 });
    const health = () => listener.groups.get('k2.default')?.endpoints[0]?.health;
    await soon(() => health() === 'healthy');
    await register(address, { service: 'k2', status: 'critical' });
    await soon(() => health() === 'unhealthy');
    await register(address, { service: 'k2', status: 'passing' });
    await soon(() => health() === 'healthy');
  });

  test('sources of one address have the watches together; who gets none hears of changes all the same', async () => {
    const address = consul.url;
    for (const service of ['p1', 'p2', 'p3']) await register(address, { service });
    const seats = new Seats();
    const taken = Array.from({ length: SEATS - 2 }, () => seats.take(address, 0));
    const include = { services: ['p*'] };
    const first = await listen({ address, include }, {}, seats);
    await soon(() => namesOf(first).length === 3);
    expect(seats.take(address, 0)).toBeUndefined();
    const second = await listen({ address, include }, {}, seats);
    await soon(() => namesOf(second).length === 3);
    for (const service of ['p1', 'p2', 'p3']) await register(address, { service, weight: 7 });
    for (const { groups } of [first, second]) {
      await soon(() => [...groups.values()].every(({ endpoints }) => endpoints[0]?.weight === 7));
    }
    await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
    for (const leave of taken) leave?.();
    const free = Array.from({ length: SEATS + 1 }, () => seats.take(address, 0)).filter(Boolean);
    expect(free).toHaveLength(SEATS);
  });

  test('a server that came back empty: its word counts, and indexes start over', async () => {
    const empty = await start('consul');
    const gate = new Gate();
    const address = await gate.open(consul.ports['http'] ?? 0);
    try {
      await register(consul.url, { service: 'm' });
      const listener = await listen({ address, include: { services: ['m*'] } });
      await soon(() => namesOf(listener).length === 1);
      gate.turnTo(empty.ports['http'] ?? 0);
      await soon(() => listener.groups.size === 0);
      await register(empty.url, { service: 'm2' });
      await soon(() => namesOf(listener).includes('m2.default'));
    } finally {
      await gate.close();
    }
  });
});

describePeers(
  ['consul'],
  'a Consul server with TLS',
  (start) => {
    let dir: string;
    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), 'isthmus-tls-'));
    });
    afterAll(() => rm(dir, { recursive: true, force: true }));

    test('reads with a client certificate, and says what is wrong without', async (context) => {
      const binary = findBinary('consul');
      if (binary === undefined) return context.skip('no binary that makes certificates');
      const run = promisify(execFile);
      await run(binary, ['tls', 'ca', 'create'], { cwd: dir });
      await run(binary, ['tls', 'cert', 'create', '-server', '-dc', 'dc1'], { cwd: dir });
      await run(binary, ['tls', 'cert', 'create', '-client', '-dc', 'dc1'], { cwd: dir });
      const at = (name: string) => join(dir, name);
      const https = await freePort();
      const files = `ca_file = "${at('consul-agent-ca.pem')}" cert_file = "${at('dc1-server-consul-0.pem')}" key_file = "${at('dc1-server-consul-0-key.pem')}"`;
      const consul = await start('consul', {
        args: [`-https-port=${https}`, '-hcl', `tls { https { ${files} verify_incoming = true } }`],
      });
      await register(consul.url, { service: 'orders' });
      const address = `https://127.0.0.1:${https}`;
      const ca = at('consul-agent-ca.pem');
      const client = { cert: at('dc1-client-consul-0.pem'), key: at('dc1-client-consul-0-key.pem') };
      const good = await listen({ address, tls: { ca, ...client } });
      await soon(() => namesOf(good).includes('orders.default'));
      const strange = await listen({ address });
      await soon(() => strange.stale);
      expect(describeError(strange.stale)).toMatch(/certificate/);
      const nobody = await listen({ address, tls: { ca } });
      await soon(() => nobody.stale);
      expect(describeError(nobody.stale)).toMatch(/certificate|alert|EPIPE|ECONNRESET/i);
      return undefined;
    });
  },
  onlyProcesses('the container has neither its certificates nor its port'),
);

/** A TCP front that can be turned to another server, as when a server comes back as another. */
class Gate {
  #port = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => {
    const onward = connect(this.#port, '127.0.0.1');
    for (const each of [socket, onward]) {
      this.#sockets.add(each);
      each.on('error', () => undefined);
      each.on('close', () => {
        this.#sockets.delete(each);
        socket.destroy();
        onward.destroy();
      });
    }
    socket.pipe(onward).pipe(socket);
  });

  async open(port: number): Promise<string> {
    this.#port = port;
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  turnTo(port: number): void {
    this.#port = port;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
