// The contract on rnacos, an independent server that speaks Nacos's first HTTP API (Nacos itself cannot be had
// here), as it is, and behind a proxy that answers nonsense; and, for the APIs that rnacos does not speak, on a
// stub that answers as Nacos is documented to.
import { fetch } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createNacosSource } from '../../adapters/nacos/index.ts';
import { nacosSource } from '../../config/schema.ts';
import { describeError } from '../../lib/errors.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { NacosStub } from '../support/nacos-stub.ts';
import type { Peer } from '../support/peer.ts';
import { servers } from '../support/peers.ts';
import type { Place } from '../support/peers.ts';
import { testDeps } from './fixtures/deps.ts';
import { FaultyProxy, NONSENSE } from './fixtures/faulty-proxy.ts';
import { Listener } from './listener.ts';
import { contract } from './suite.ts';
import type { Fault, Fixture, Instance } from './suite.ts';

const timings = {
  pollMs: 100,
  refreshMs: 1_000,
  answerMs: 600,
  silentMs: 3_000,
  probeEveryMs: 200,
  backoffMs: 50,
  maxBackoffMs: 200,
};

function source(urls: readonly string[], fields: object = {}) {
  const config = nacosSource.parse({ name: 'nacos', kind: 'nacos', urls, ...fields });
  return createNacosSource(config, testDeps(), timings);
}

/** A hand on rnacos, past the source under test. */
async function call(url: string, method: string, params: Readonly<Record<string, string>>, token = '') {
  const headers = { connection: 'close', ...(token === '' ? {} : { authorization: `Bearer ${token}` }) };
  const answer = await fetch(`${url}?${new URLSearchParams(params).toString()}`, { method, headers });
  const said = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: HTTP ${answer.status} ${said}`);
  return said;
}

/** Persistent ones, which need no heartbeat. */
function fieldsOf(name: string, { address, port, mark = '1' }: Instance) {
  return { serviceName: name, ip: address, port: String(port), weight: mark, ephemeral: 'false' };
}

const keyOf = ({ address, port, mark = '1' }: Instance) => `${address}:${port}/${mark}`;

const instanceUrl = (url: string) => `${url}/nacos/v1/ns/instance`;

const LYING: (typeof NONSENSE)[string] = (_req, res) =>
  res.writeHead(200).end('{"count":9,"serviceList":[]}');
const REFUSED: (typeof NONSENSE)[string] = (_req, res) =>
  res.writeHead(200).end('{"code":10002,"message":"data access error","data":null}');

const OF_EACH_API = ['HTTP 500', 'half a JSON', 'JSON of another shape', 'a code'];

function nonsense(proxy: () => FaultyProxy): Fault[] {
  const answers = { ...NONSENSE, 'a list of nothing that says it has something': LYING, 'a code': REFUSED };
  return Object.entries(answers).map(([name, answer]): Fault => {
    const fault = () => proxy().fault(name, answer);
    return { name, begin: () => fault().begin(), end: () => fault().end() };
  });
}

const common = {
  serviceOf: (name: string) => `${name}.default`,
  markOf: (group: Parameters<Fixture['markOf']>[0], key: string) =>
    String(group.endpoints.find((e) => `${e.address}:${e.port}` === key)?.weight ?? 'absent'),
  // An empty service stays for a while.
  lastLeaves: ['group'],
  staleWithinMs: 5_000,
  changeWithinMs: 20_000,
} as const;

function rnacosFixture(start: StartPeer, faults: 'server' | 'answers'): Fixture {
  let rnacos: Peer;
  let proxy: FaultyProxy | undefined;
  let proxied = '';
  const known = new Map<string, readonly Instance[]>();
  const closed = () => (proxy as FaultyProxy).fault('closed', (req) => req.socket.destroy());
  const own: Fault[] = [
    {
      // As a member of a cluster, which lets nobody in before it has its data; alone it would come back empty.
      name: 'killed, restarted, and open again when it has its data',
      async begin() {
        await closed().begin();
        await rnacos.kill();
      },
      async end() {
        await rnacos.restart();
        for (const [name, instances] of known) {
          for (const instance of instances)
            await call(instanceUrl(rnacos.url), 'POST', fieldsOf(name, instance));
        }
        await closed().end();
      },
    },
    { name: 'frozen', begin: () => rnacos.pause(), end: () => rnacos.resume() },
  ];
  return {
    ...common,
    async start() {
      rnacos = await start('rnacos');
      proxy = new FaultyProxy(rnacos.url);
      proxied = await proxy.start();
    },
    async stop() {
      await proxy?.stop();
    },
    discoverer: async () => source([proxied]),
    async set(name, instances) {
      const before = known.get(name) ?? [];
      const url = instanceUrl(rnacos.url);
      for (const instance of instances) {
        if (before.some((one) => keyOf(one) === keyOf(instance))) continue;
        await call(url, 'POST', fieldsOf(name, instance));
      }
      const keep = new Set(instances.map(({ address, port }) => `${address}:${port}`));
      for (const gone of before.filter(({ address, port }) => !keep.has(`${address}:${port}`))) {
        await call(url, 'DELETE', fieldsOf(name, gone));
      }
      known.set(name, instances);
    },
    faults: faults === 'server' ? own : nonsense(() => proxy as FaultyProxy),
  };
}

function stubFixture(api: 'v2' | 'v3'): Fixture {
  const stub = new NacosStub({ api });
  let proxy: FaultyProxy;
  let url = '';
  return {
    ...common,
    async start() {
      proxy = new FaultyProxy(await stub.start());
      url = await proxy.start();
    },
    async stop() {
      await proxy.stop();
      await stub.stop();
    },
    discoverer: async () => source([url]),
    async set(name, instances) {
      const all = instances.map(({ address: ip, port, mark = '1' }) => ({ ip, port, weight: Number(mark) }));
      stub.set(name, all);
    },
    // How a broken answer is told from a good one is the same for all APIs; what differs is what is read.
    faults: nonsense(() => proxy).filter(({ name }) => OF_EACH_API.includes(name)),
  };
}

describePeers(['rnacos'], 'rnacos', (start) => contract(rnacosFixture(start, 'server')));
describePeers(['rnacos'], 'rnacos, answering nonsense', (start) => contract(rnacosFixture(start, 'answers')));
describe.each(['v2', 'v3'] as const)('a stub of %s, answering nonsense', (api) => contract(stubFixture(api)));

describePeers(['rnacos'], 'what only this kind has', (start) => {
  let rnacos: Peer;
  let token: string;
  let listener: Listener;
  const a = { serviceName: 'orders', ip: '10.1.0.1', port: '8080', ephemeral: 'false' };
  const set = (fields: Readonly<Record<string, string>>) =>
    call(instanceUrl(rnacos.url), 'POST', { ...a, ...fields }, token);
  const soon = <T>(check: () => T) => eventually(check, { withinMs: 10_000, everyMs: 10 });
  const fault = async (fields: object) => {
    const other = new Listener(source([rnacos.url], fields));
    const error = await soon(() => other.stale);
    await other.stop();
    return { text: describeError(error), code: 'code' in error ? error.code : '' };
  };
  const login = { username: 'isthmus', password: 'right-password' };

  beforeAll(async () => {
    const own = [
      'RNACOS_ENABLE_OPEN_API_AUTH=true',
      `RNACOS_INIT_ADMIN_USERNAME=${login.username}`,
      `RNACOS_INIT_ADMIN_PASSWORD=${login.password}`,
      'RNACOS_NAMING_HEALTH_TIMEOUT_SECOND=1',
      'RNACOS_NAMING_INSTANCE_TIMEOUT_SECOND=6',
    ];
    const files = {
      'rnacos.env': (place: Place) => `${servers.rnacos.files(place)['rnacos.env']}${own.join('\n')}\n`,
    };
    rnacos = await start('rnacos', { files });
    const said = await eventually(() => call(`${rnacos.url}/nacos/v1/auth/login`, 'POST', login));
    token = (JSON.parse(said) as { accessToken: string }).accessToken;
    listener = new Listener(source([rnacos.url], login));
  });
  afterAll(() => listener?.stop());

  test('all states', async () => {
    const health = () => {
      const endpoint = listener.groups.get('orders.default')?.endpoints[0];
      return endpoint && `${endpoint.health} ${endpoint.weight}`;
    };
    await set({});
    await soon(() => health() === 'healthy 1');
    await set({ enabled: 'false' });
    await soon(() => health() === 'draining 1');
    await set({ enabled: 'true', weight: '20' });
    await soon(() => health() === 'healthy 20');
    await set({ weight: '0' });
    await soon(() => health() === 'draining 0');
    expect(listener.fewest('orders.default')).toBe(1);
  });

  test('fractional weights keep their ratio', async () => {
    await set({ serviceName: 'ratio', weight: '0.25' });
    await set({ serviceName: 'ratio', ip: '10.1.0.2', weight: '2' });
    await soon(() => {
      const endpoints = listener.groups.get('ratio.default')?.endpoints ?? [];
      return endpoints.map((endpoint) => endpoint.weight).join() === '1,8';
    });
  });

  test('groups, clusters, metadata', async () => {
    const metadata = JSON.stringify({ zone: 'z1', version: 'v2', 'isthmus.dev/protocol': 'grpc' });
    await set({ serviceName: 'billing', groupName: 'PAY', clusterName: 'hz', metadata });
    await soon(() => listener.keys('billing.pay').length === 1);
    const group = listener.groups.get('billing.pay');
    expect(group?.ports).toEqual([{ name: '', port: 0, protocol: 'grpc' }]);
    expect(group?.endpoints[0]).toMatchObject({
      locality: { zone: 'z1' },
      labels: { version: 'v2', 'nacos.cluster': 'hz', 'nacos.ephemeral': 'false' },
    });
  });

  test('a wrong password, no password, a namespace that is not there: each is told', async () => {
    const wrong = await fault({ ...login, password: 'wrong-password' });
    expect(wrong.code).toBe('ISTHMUS_NACOS_DENIED');
    expect(wrong.text).not.toContain('wrong-password');
    expect((await fault({})).code).toBe('ISTHMUS_NACOS_DENIED');
    const lost = await fault({ ...login, namespace: 'nowhere' });
    expect(lost).toMatchObject({ code: 'ISTHMUS_NACOS_NAMESPACE', text: expect.stringContaining('public') });
  });

  test('an instance that no longer says that it lives turns unhealthy, and leaves', async () => {
    await set({ serviceName: 'brief', ephemeral: 'true' });
    const health = () => listener.groups.get('brief.default')?.endpoints[0]?.health;
    await soon(() => health() === 'healthy');
    await eventually(() => health() === 'unhealthy', { withinMs: 20_000 });
    await eventually(() => listener.groups.get('brief.default')?.endpoints.length === 0, {
      withinMs: 20_000,
    });
  });

  test('restarted with other data: the end is what it lists then', async () => {
    await rnacos.restartEmpty();
    const said = await eventually(() => call(`${rnacos.url}/nacos/v1/auth/login`, 'POST', login));
    token = (JSON.parse(said) as { accessToken: string }).accessToken;
    await set({ serviceName: 'other' });
    await soon(() => listener.keys('other.default').length === 1);
    expect([...listener.groups.keys()]).toEqual(['other.default']);
  });
});
