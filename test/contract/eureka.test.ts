// The contract on a true Eureka server: alone, after servers that do not answer, and behind proxies that go
// wrong.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import type { Peer } from '../support/peer.ts';
import {
  callEureka,
  eurekaAfterOthers,
  eurekaArgs,
  eurekaBehindProxies,
  eurekaFixture,
  eurekaSourceOf,
  idOf,
  registerEureka,
  untilOpen,
} from './fixtures/eureka.ts';
import { Listener } from './listener.ts';
import { contract } from './suite.ts';
import type { Instance } from './suite.ts';

describePeers(['eureka'], 'a Eureka server', (start) => contract(eurekaFixture(start), eurekaFixture(start)));
describePeers(['eureka'], 'a Eureka server behind a bad network', (start) =>
  contract(eurekaBehindProxies(start)),
);
describePeers(['eureka'], 'a Eureka server after one that is deaf and one that is dead', (start) =>
  contract(eurekaAfterOthers(start)),
);

describePeers(['eureka'], 'what only Eureka has', (start) => {
  let eureka: Peer;
  let listener: Listener;
  const url = () => `${eureka.url}/eureka/apps/ORDERS`;
  const a: Instance = { address: '10.1.0.1', port: 8080 };
  const soon = <T>(check: () => T) => eventually(check, { withinMs: 10_000, everyMs: 10 });
  const health = () => listener.groups.get('orders.default')?.endpoints[0]?.health;
  beforeAll(async () => {
    eureka = await start('eureka', { args: eurekaArgs });
    await untilOpen(eureka.url);
    listener = new Listener(eurekaSourceOf([eureka.url]));
  });
  afterAll(() => listener?.stop());

  test('all statuses, whoever set them', async () => {
    await registerEureka(eureka.url, 'orders', a);
    await soon(() => health() === 'healthy');
    for (const [status, want] of [
      ['OUT_OF_SERVICE', 'draining'],
      ['DOWN', 'unhealthy'],
      ['STARTING', 'unhealthy'],
      ['UNKNOWN', 'unknown'],
      ['UP', 'healthy'],
    ] as const) {
      await callEureka(`${url()}/${idOf(a)}/status?value=${status}`, 'PUT');
      await soon(() => health() === want);
    }
    expect(listener.fewest('orders.default')).toBe(1);
  });

  test('a lease that runs out takes the instance away', async () => {
    const leaseInfo = { renewalIntervalInSecs: 1, durationInSecs: 1 };
    await registerEureka(eureka.url, 'brief', a, { leaseInfo });
    await soon(() => listener.keys('brief.default').length === 1);
    await soon(() => !listener.groups.has('brief.default'));
  });

  test('ports, zone and names', async () => {
    await registerEureka(eureka.url, 'billing', a, {
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
});
