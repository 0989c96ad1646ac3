// What the data path tells the balancer by peak EWMA about hosts: real sockets, and who is asked how often.
import { afterEach, expect, test } from 'vitest';
import { DEFAULT_BALANCING } from '../../../../proxy/balancers/types.ts';
import type { Balancing } from '../../../../proxy/balancers/types.ts';
import {
  OK,
  cleanUp,
  closedPort,
  cluster,
  host,
  rawServer,
  request,
  retries,
  startPlane,
  tables,
} from './support.ts';

afterEach(cleanUp);

const balancing: Balancing = {
  ...DEFAULT_BALANCING,
  policy: { kind: 'peak-ewma', decayMs: 600_000, defaultRttMs: 0, penalty: 1e6 },
};
const REQUESTS = 30;

test('a host that refuses connections is tried once, although it fails at once', async () => {
  const good = await rawServer((socket) => void socket.write(OK));
  const hosts = [host(await closedPort()), host(good.port)];
  // What a refused connect counts as: more than any answer takes.
  const target = cluster(hosts, { balancing, connectTimeoutMs: 60_000 });
  const { port, plane } = await startPlane(tables(target));
  for (let i = 0; i < REQUESTS; i += 1) expect((await request(port)).status).toBe(200);
  const [bad] = plane.stats().clusters[0]?.hosts ?? [];
  expect(bad?.connectFailures).toBe(1);
});

test('one that never answers is left alone when a try has run out of time', async () => {
  const good = await rawServer((socket) => void socket.write(OK));
  const silent = await rawServer(() => undefined);
  const target = cluster([host(silent.port), host(good.port)], { balancing });
  const retry = { ...retries(1, '5xx'), perTryMs: 1_500 };
  const { port } = await startPlane(tables(target, { retry }));
  for (let i = 0; i < REQUESTS; i += 1) expect((await request(port)).status).toBe(200);
  expect(silent.received).toHaveLength(1);
});

test('one that answers late is asked next to never', async () => {
  const good = await rawServer((socket) => void socket.write(OK));
  const late = await rawServer((socket) => void setTimeout(() => socket.write(OK), 1_500));
  const { port } = await startPlane(tables(cluster([host(late.port), host(good.port)], { balancing })));
  for (let i = 0; i < REQUESTS; i += 1) expect((await request(port)).status).toBe(200);
  expect(late.received.join('').match(/GET/g)).toHaveLength(1);
});
