// The contract on a true Eureka server: alone, as one of two, and behind a proxy that answers nonsense.
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetch } from 'undici';
import { createEurekaSource } from '../../adapters/eureka/index.ts';
import { eurekaSource } from '../../config/schema.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import type { Peer } from '../support/peer.ts';
import { FaultyProxy, NONSENSE } from './fixtures/faulty-proxy.ts';
import { testDeps } from './fixtures/deps.ts';
import { Listener } from './listener.ts';
import { contract } from './suite.ts';
import type { Fault, Fixture, Instance } from './suite.ts';

const timings = {
  pollMs: 100,
  answerMs: 600,
  listMs: 3_000,
  silentMs: 3_000,
  probeEveryMs: 200,
  backoffMs: 50,
  maxBackoffMs: 200,
};

/**
 * Eureka keeps its registry in memory only. What keeps a restart from emptying everything is this: it serves
 * nothing (403) until its clients had the time to register again. Spring switches that off unless the count
 * is 0.
 */
const CLOSED_FOR_MS = 4_000;
const REFRESH_MS = 200;
const serverArgs = [
  '--eureka.instance.registry.default-open-for-traffic-count=0',
  `--eureka.server.wait-time-in-ms-when-sync-empty=${CLOSED_FOR_MS}`,
  `--eureka.server.response-cache-update-interval-ms=${REFRESH_MS}`,
];

/** Instances as their own clients would register them. */
class Registrations {
  readonly #known = new Map<string, readonly Instance[]>();

  async set(url: string, name: string, instances: readonly Instance[]): Promise<void> {
    const before = this.#known.get(name) ?? [];
    const same = (a: Instance, b: Instance) => idOf(a) === idOf(b) && a.mark === b.mark;
    for (const instance of instances) {
      if (!before.some((known) => same(known, instance))) await register(url, name, instance);
    }
    const keep = new Set(instances.map(idOf));
    for (const gone of before.filter((instance) => !keep.has(idOf(instance)))) {
      await call(`${url}/eureka/apps/${name.toUpperCase()}/${idOf(gone)}`, 'DELETE');
    }
    this.#known.set(name, instances);
  }

  async again(url: string): Promise<void> {
    for (const [name, instances] of this.#known) {
      for (const instance of instances) await register(url, name, instance);
    }
  }
}

const idOf = ({ address, port }: Instance) => `${address}:${port}`;

async function call(url: string, method: string, body?: object): Promise<void> {
  const answer = await fetch(url, {
    method,
    headers: { connection: 'close', 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const said = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: HTTP ${answer.status} ${said}`);
}

function register(url: string, name: string, instance: Instance, more: object = {}): Promise<void> {
  const { address, port, mark = '1' } = instance;
  return call(`${url}/eureka/apps/${name.toUpperCase()}`, 'POST', {
    instance: {
      instanceId: idOf(instance),
      hostName: `host-${address}`,
      app: name.toUpperCase(),
      ipAddr: address,
      vipAddress: name,
      status: 'UP',
      port: { $: port, '@enabled': 'true' },
      securePort: { $: 443, '@enabled': 'false' },
      dataCenterInfo: {
        '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo',
        name: 'MyOwn',
      },
      leaseInfo: { renewalIntervalInSecs: 30, durationInSecs: 90_000 },
      metadata: { weight: mark },
      ...more,
    },
  });
}

function eurekaFixture(start: StartPeer, faults: 'server' | 'answers' | 'failover'): Fixture {
  let eureka: Peer;
  let proxy: FaultyProxy | undefined;
  let deaf: Server | undefined;
  const sockets = new Set<Socket>();
  const urls: string[] = [];
  const registrations = new Registrations();
  const own: Fault[] = [
    {
      name: 'killed and restarted, its clients register again',
      begin: () => eureka.kill(),
      async end() {
        await eureka.restart();
        await registrations.again(eureka.url);
      },
    },
    { name: 'frozen', begin: () => eureka.pause(), end: () => eureka.resume() },
  ];
  const answers = Object.entries({
    ...NONSENSE,
    'an empty answer': NONSENSE_EMPTY,
    'a list of nothing that says it has something': LYING_EMPTY,
  }).map(([name, answer]): Fault => {
    const fault = () => (proxy as FaultyProxy).fault(name, answer);
    return { name, begin: () => fault().begin(), end: () => fault().end() };
  });
  return {
    async start() {
      eureka = await start('eureka', { args: serverArgs });
      await untilOpen(eureka.url);
      if (faults === 'answers') {
        proxy = new FaultyProxy(eureka.url);
        urls.push(await proxy.start());
        return;
      }
      if (faults === 'failover') {
        // Takes connections and says nothing: what a frozen first server looks like.
        const server = createServer((socket) => sockets.add(socket.resume()));
        deaf = server;
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'http://127.0.0.1:1');
      }
      urls.push(eureka.url);
    },
    async stop() {
      await proxy?.stop();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => (deaf ? deaf.close(resolve) : resolve(undefined)));
    },
    discoverer: async () => source(urls),
    set: (name, instances) => registrations.set(eureka.url, name, instances),
    serviceOf: (name) => `${name}.default`,
    markOf: (group, key) =>
      String(group.endpoints.find((e) => `${e.address}:${e.port}` === key)?.weight ?? 'absent'),
    faults: faults === 'server' ? own : faults === 'answers' ? answers : [],
    lastLeaves: ['gone'],
    staleWithinMs: 5_000,
    changeWithinMs: 20_000,
  };
}

const NONSENSE_EMPTY: (typeof NONSENSE)[string] = (_req, res) => res.writeHead(200).end();
const LYING_EMPTY: (typeof NONSENSE)[string] = (_req, res) =>
  res.writeHead(200).end('{"applications":{"versions__delta":"1","apps__hashcode":"UP_99_"}}');

function source(urls: readonly string[], config: object = {}) {
  const parsed = eurekaSource.parse({
    name: 'eureka',
    kind: 'eureka',
    urls: urls.map((url) => `${url}/eureka`),
    ...config,
  });
  return createEurekaSource(parsed, testDeps(), timings);
}

async function untilOpen(url: string): Promise<void> {
  await eventually(() => call(`${url}/eureka/apps`, 'GET').then(() => true), { withinMs: 10_000 });
}

describePeers(['eureka'], 'a Eureka server', (start) => contract(eurekaFixture(start, 'server')));
describePeers(['eureka'], 'a Eureka server that answers nonsense', (start) =>
  contract(eurekaFixture(start, 'answers')),
);
describePeers(['eureka'], 'a Eureka server after one that is deaf and one that is dead', (start) =>
  contract(eurekaFixture(start, 'failover')),
);

describePeers(['eureka'], 'what only Eureka has', (start) => {
  let eureka: Peer;
  let listener: Listener;
  const url = () => `${eureka.url}/eureka/apps/ORDERS`;
  const a: Instance = { address: '10.1.0.1', port: 8080 };
  const soon = <T>(check: () => T) => eventually(check, { withinMs: 10_000, everyMs: 10 });
  const health = () => listener.groups.get('orders.default')?.endpoints[0]?.health;
  beforeAll(async () => {
    eureka = await start('eureka', { args: serverArgs });
    await untilOpen(eureka.url);
    listener = new Listener(source([eureka.url]));
  });
  afterAll(() => listener?.stop());

  test('all statuses, whoever set them', async () => {
    await register(eureka.url, 'orders', a);
    await soon(() => health() === 'healthy');
    for (const [status, want] of [
      ['OUT_OF_SERVICE', 'draining'],
      ['DOWN', 'unhealthy'],
      ['STARTING', 'unhealthy'],
      ['UNKNOWN', 'unknown'],
      ['UP', 'healthy'],
    ] as const) {
      await call(`${url()}/${idOf(a)}/status?value=${status}`, 'PUT');
      await soon(() => health() === want);
    }
    expect(listener.fewest('orders.default')).toBe(1);
  });

  test('a lease that runs out takes the instance away', async () => {
    const leaseInfo = { renewalIntervalInSecs: 1, durationInSecs: 1 };
    await register(eureka.url, 'brief', a, { leaseInfo });
    await soon(() => listener.keys('brief.default').length === 1);
    await soon(() => !listener.groups.has('brief.default'));
  });

  test('ports, zone and names', async () => {
    await register(eureka.url, 'billing', a, {
      vipAddress: 'billing.prod:7001,billing-vip',
      securePort: { $: 8443, '@enabled': 'true' },
      metadata: { zone: 'z1', 'management.port': '9001', weight: '20' },
    });
    await soon(() => listener.keys('billing.default').length === 2);
    const group = listener.groups.get('billing.default');
    expect(group?.aliases).toEqual(['BILLING', 'billing', 'billing-vip', 'billing.default', 'billing.prod']);
    expect(group?.primaryPort).toBe('');
    expect(group?.endpoints).toMatchObject([
      {
        port: 8080,
        portName: '',
        weight: 20,
        locality: { zone: 'z1' },
        labels: { 'management.port': '9001' },
      },
      { port: 8443, portName: 'https', weight: 20 },
    ]);
  });

  test('restarted with other data: the end is what it lists then', async () => {
    await eureka.restart();
    await register(eureka.url, 'other', a);
    await soon(() => listener.keys('other.default').length === 1);
    expect([...listener.groups.keys()]).toEqual(['other.default']);
  });
});
