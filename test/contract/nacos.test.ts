// The contract on rnacos, an independent server that speaks Nacos's first HTTP API (Nacos itself cannot be had
// here), as it is and behind proxies that go wrong; and, for the APIs that rnacos does not speak, on a stub that
// answers as Nacos is documented to.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeError } from '../../lib/errors.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import type { Peer } from '../support/peer.ts';
import {
  NACOS_LOGIN,
  callNacos,
  instancesAt,
  nacosSourceOf,
  nacosStubFixture,
  nacosToken,
  rnacosBehindProxies,
  rnacosFixture,
  rnacosWithLogin,
} from './fixtures/nacos.ts';
import { Listener } from './listener.ts';
import { contract } from './suite.ts';

describePeers(['rnacos'], 'rnacos', (start) => contract(rnacosFixture(start), rnacosFixture(start)));
describePeers(['rnacos'], 'rnacos behind a bad network', (start) => contract(rnacosBehindProxies(start)));
describe.each(['v2', 'v3'] as const)('a stub of %s behind a bad network', (api) =>
  contract(nacosStubFixture(api)),
);

describePeers(['rnacos'], 'what only this kind has', (start) => {
  let rnacos: Peer;
  let token: string;
  let listener: Listener;
  const a = { serviceName: 'orders', ip: '10.1.0.1', port: '8080', ephemeral: 'false' };
  const set = (fields: Readonly<Record<string, string>>) =>
    callNacos(instancesAt(rnacos.url), 'POST', { ...a, ...fields }, token);
  const soon = <T>(check: () => T) => eventually(check, { withinMs: 10_000, everyMs: 10 });
  const fault = async (fields: object) => {
    const other = new Listener(nacosSourceOf([rnacos.url], fields));
    const error = await soon(() => other.stale);
    await other.stop();
    return { text: describeError(error), code: 'code' in error ? error.code : '' };
  };

  beforeAll(async () => {
    rnacos = await rnacosWithLogin(start);
    token = await nacosToken(rnacos.url);
    listener = new Listener(nacosSourceOf([rnacos.url], NACOS_LOGIN));
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
    const wrong = await fault({ ...NACOS_LOGIN, password: 'wrong-password' });
    expect(wrong.code).toBe('ISTHMUS_NACOS_DENIED');
    expect(wrong.text).not.toContain('wrong-password');
    expect((await fault({})).code).toBe('ISTHMUS_NACOS_DENIED');
    const lost = await fault({ ...NACOS_LOGIN, namespace: 'nowhere' });
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
});
