import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createServer as createNetServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { TimerWheel } from '../../../../lib/timer-wheel.ts';
import { DEFAULT_BALANCING, PickKey } from '../../../../proxy/balancers/types.ts';
import type { HealthRules, Question } from '../../../../proxy/health/rules.ts';
import type { Cluster, UpstreamHost } from '../../../../proxy/tables.ts';
import { ClusterState } from '../../../../proxy/upstream/cluster.ts';
import type { OutlierRules } from '../../../../proxy/upstream/outlier.ts';
import { answer, cut, deadPort, hang, startBehavingHosts } from '../../../support/behaving-hosts.ts';
import type { BehavingHosts } from '../../../support/behaving-hosts.ts';
import { eventually } from '../../../support/eventually.ts';

const NAME = 'x-envoy-upstream-healthchecked-cluster';
const WITHIN = { withinMs: 20_000 };
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const HTTP: Question = {
  kind: 'http',
  method: 'GET',
  path: '/health',
  host: '',
  headers: [['x-isthmus-service', 'orders.default']],
  without: ['user-agent'],
  expects: (status) => status === 200,
  retries: (status) => status === 503,
};

const OUTLIER: OutlierRules = {
  checkReturns: true,
  consecutive5xx: 5,
  consecutiveGateway: 5,
  consecutiveLocal: 5,
  split: false,
  intervalMs: 600_000,
  baseEjectionMs: 600_000,
  maxEjectionMs: 600_000,
  jitterMs: 0,
  maxEjectionPercent: 100,
  alwaysOne: true,
  enforce: {
    consecutive_5xx: 100,
    consecutive_gateway_failure: 0,
    consecutive_local_origin_failure: 0,
    success_rate: 0,
    local_origin_success_rate: 0,
    failure_percentage: 0,
    local_origin_failure_percentage: 0,
  },
  successRate: { hosts: 5, volume: 100, factor: 1.9 },
  failurePercent: { threshold: 85, hosts: 5, volume: 50 },
};

const rulesOf = (question: Question = HTTP, more: Partial<HealthRules> = {}): HealthRules => ({
  intervalMs: 20,
  timeoutMs: 300,
  fall: 2,
  rise: 2,
  unhealthyMs: 20,
  unhealthyEdgeMs: 20,
  healthyEdgeMs: 20,
  noTrafficMs: 20,
  noTrafficHealthyMs: 20,
  initialJitterMs: 0,
  jitterMs: 0,
  jitterPercent: 0,
  reuse: true,
  question,
  ...more,
});

const hostAt = (port: number, more: Partial<UpstreamHost> = {}): UpstreamHost => ({
  address: '127.0.0.1',
  port,
  weight: 1,
  status: 'available',
  ...more,
});

function clusterOf(hosts: readonly UpstreamHost[], health: HealthRules, more: Partial<Cluster> = {}) {
  const wheel = new TimerWheel(systemClock, 5);
  const told: string[] = [];
  const spec: Cluster = {
    name: 'orders.default',
    connectTimeoutMs: 1_000,
    hosts,
    health,
    balancing: { ...DEFAULT_BALANCING, panicPercent: 0 },
    ...more,
  };
  const cluster = new ClusterState(spec, {
    clock: systemClock,
    wheel,
    readBuffer: Buffer.alloc(0),
    idleMs: 1,
    maxIdlePerHost: 1,
    onMisdirected: (_cluster, host, name) => told.push(`${host.key} ${name}`),
  });
  closers.push(() => {
    cluster.remove();
    wheel.close();
  });
  const picked = () =>
    [...new Set(Array.from({ length: 40 }, () => cluster.pick(new PickKey())?.spec.port ?? 0))].sort(
      (a, b) => a - b,
    );
  return { cluster, spec, picked, told };
}

async function servers(count: number): Promise<BehavingHosts & { readonly ports: number[] }> {
  const started = await startBehavingHosts(count);
  closers.push(() => started.stop());
  return { ...started, ports: started.hosts.map(({ port }) => port).sort((a, b) => a - b) };
}

test('a host is called after its first good check, and no more after a bad one', async () => {
  const { hosts, ports } = await servers(2);
  const { cluster, picked } = clusterOf(
    ports.map((port) => hostAt(port)),
    rulesOf(),
  );
  expect(picked()).toEqual([0]);
  expect(cluster.settled).toBe(false);
  await eventually(() => picked().length === 2, WITHIN);
  expect(cluster.settled).toBe(true);
  expect(hosts[0]?.seen[0]).toMatchObject({
    path: '/health',
    headers: { host: 'orders.default', 'x-isthmus-service': 'orders.default' },
  });
  expect(hosts[0]?.seen[0]?.headers['user-agent']).toBeUndefined();
  hosts[0]?.behave(answer(500));
  await eventually(() => picked().join() === String(hosts[1]?.port), WITHIN);
  hosts[0]?.behave(answer(200));
  await eventually(() => picked().length === 2, WITHIN);
});

test.each([true, false])(
  'a host that answers check well and requests badly is back at its next check: %s',
  async (checkReturns) => {
    const { ports } = await servers(2);
    const outlier = { ...OUTLIER, checkReturns };
    const { cluster, picked } = clusterOf(
      ports.map((port) => hostAt(port)),
      rulesOf(),
      { outlier },
    );
    await eventually(() => picked().length === 2, WITHIN);
    const [host] = cluster.hosts;
    if (!host) throw new Error('no host');
    for (let i = 0; i < 5; i += 1) cluster.detector?.onStatus(host, 500);
    expect(picked()).toHaveLength(1);
    const before = host.checker?.checks ?? 0;
    await eventually(() => (host.checker?.checks ?? 0) > before + 2, WITHIN);
    expect(picked()).toHaveLength(checkReturns ? 2 : 1);
  },
);

test.each([
  ['a status worth another try', answer(503)],
  ['a cut connection', cut],
  ['silence', hang],
])('%s counts as one of several', async (_what, behaviour) => {
  const { hosts, ports } = await servers(1);
  const { cluster, picked } = clusterOf([hostAt(ports[0] ?? 0)], rulesOf(HTTP, { fall: 4, timeoutMs: 100 }));
  await eventually(() => picked()[0] !== 0, WITHIN);
  hosts[0]?.behave(behaviour);
  const [host] = cluster.hosts;
  const failures = () => host?.checker?.failures ?? 0;
  await eventually(() => picked()[0] === 0, WITHIN);
  expect(failures()).toBeGreaterThanOrEqual(4);
});

test('another name, or none, is a bad answer; who answered is told', async () => {
  const { hosts, ports } = await servers(1);
  const named = (name: string) => name === 'orders.default';
  const { picked, told } = clusterOf([hostAt(ports[0] ?? 0)], rulesOf({ ...HTTP, named }));
  hosts[0]?.behave(answer(200, { [NAME]: 'orders.default' }));
  await eventually(() => picked()[0] !== 0, WITHIN);
  expect(told).toEqual([]);
  hosts[0]?.behave(answer(421, { [NAME]: 'carts.default' }));
  await eventually(() => picked()[0] === 0 && told.length > 0, WITHIN);
  expect(told[0]).toBe(`127.0.0.1:${ports[0]} carts.default`);
  hosts[0]?.behave(answer(200, { [NAME]: 'orders.default' }));
  await eventually(() => picked()[0] !== 0, WITHIN);
  hosts[0]?.behave(answer(200));
  await eventually(() => picked()[0] === 0, WITHIN);
});

test('hosts with another port, or without a check', async () => {
  const { hosts, ports } = await servers(1);
  const [health] = ports;
  const dead = await deadPort();
  const at = hostAt(dead, { check: { port: health ?? 0, host: 'check.me' } });
  const off = hostAt(dead, { address: '127.0.0.2', check: { disabled: true } });
  const { picked, cluster } = clusterOf([at, off], rulesOf());
  const known = () => [...cluster.hosts].map(({ checker }) => checker?.record.failed);
  expect(known()).toEqual([true, undefined]);
  await eventually(() => known()[0] === false, WITHIN);
  expect(hosts[0]?.seen[0]?.headers.host).toBe('check.me');
  expect(picked()).toEqual([dead]);
});

test('a host that was called before it is checked is called until the check says no', async () => {
  const { hosts, ports } = await servers(1);
  hosts[0]?.behave(answer(500));
  const unchecked = hostAt(ports[0] ?? 0, { check: { disabled: true } });
  const { cluster, spec, picked } = clusterOf([unchecked], rulesOf());
  expect(picked()).toEqual(ports);
  cluster.update({ ...spec, hosts: [hostAt(ports[0] ?? 0)] });
  expect(picked()).toEqual(ports);
  await eventually(() => picked()[0] === 0, WITHIN);
  cluster.update({ ...spec, hosts: [unchecked] });
  expect(picked()).toEqual(ports);
});

test('a host that is not listed any more stays while it is well, where that is asked for', async () => {
  const { hosts, ports } = await servers(1);
  const { cluster, spec, picked } = clusterOf([hostAt(ports[0] ?? 0)], rulesOf(), { keepsHealthy: true });
  await eventually(() => picked()[0] !== 0, WITHIN);
  cluster.update({ ...spec, hosts: [] });
  expect(picked()).toEqual(ports);
  hosts[0]?.behave(answer(500));
  await eventually(() => [...cluster.hosts].length === 0, WITHIN);
  expect(picked()).toEqual([0]);
});

test('degraded is what the answer says; a host may ask to be left out', async () => {
  const { hosts } = await servers(4);
  hosts[0]?.behave(answer(200, { 'x-envoy-degraded': 'true' }));
  const { cluster, picked } = clusterOf(
    hosts.map(({ port }) => hostAt(port)),
    rulesOf(),
  );
  const [worn, left] = hosts.map(({ port }) => port);
  await eventually(() => cluster.settled && picked().length === 3, WITHIN);
  expect(picked()).not.toContain(worn);
  hosts[1]?.behave(answer(500));
  [...cluster.hosts].find(({ spec }) => spec.port === left)?.checker?.failNow();
  expect(picked()).not.toContain(left);
  hosts[1]?.behave(answer(200));
  await eventually(() => picked().includes(left ?? 0), WITHIN);
});

test('over TCP: a connection, or an answer to what is sent', async () => {
  const server = createNetServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', () => socket.write('+PONG\r\n'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  const ping = (receive: readonly string[]): Question => ({
    kind: 'tcp',
    send: Buffer.from('PING\r\n'),
    receive: receive.map((text) => Buffer.from(text)),
  });
  const open = clusterOf([hostAt(port)], rulesOf({ kind: 'tcp', send: Buffer.alloc(0), receive: [] }));
  const good = clusterOf([hostAt(port)], rulesOf(ping(['PO', 'G'])));
  const bad = clusterOf([hostAt(port)], rulesOf(ping(['no']), { timeoutMs: 100 }));
  const dead = clusterOf([hostAt(await deadPort())], rulesOf(ping([])));
  await eventually(() => open.picked()[0] === port && good.picked()[0] === port, WITHIN);
  await eventually(() => bad.cluster.settled && dead.cluster.settled, WITHIN);
  expect([bad.picked(), dead.picked()]).toEqual([[0], [0]]);
});

test('over gRPC: the health service says how it is', async () => {
  let status = 1;
  const asked: string[] = [];
  const server = createHttp2Server((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      asked.push(`${request.url} ${request.authority} ${Buffer.concat(chunks).subarray(7).toString()}`);
      response.writeHead(200, { 'content-type': 'application/grpc' });
      response.addTrailers({ 'grpc-status': '0' });
      response.end(Buffer.from([0, 0, 0, 0, 2, 0x08, status]));
    });
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    for (const session of sessions) session.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const question: Question = { kind: 'grpc', service: 'shop.Orders', authority: '', headers: [] };
  const { picked } = clusterOf([hostAt(port)], rulesOf(question));
  const once = clusterOf([hostAt(port)], rulesOf(question, { reuse: false }));
  await eventually(() => picked()[0] === port && once.picked()[0] === port, WITHIN);
  expect(asked[0]).toBe('/grpc.health.v1.Health/Check orders.default shop.Orders');
  status = 2;
  await eventually(() => picked()[0] === 0, WITHIN);
  status = 1;
  await eventually(() => picked()[0] === port, WITHIN);
});
