// The contract on a name server of our own over UDP: there is no other to be had for the tests.
import { describe, expect, test } from 'vitest';
import { createDnsSource } from '../../adapters/dns/index.ts';
import { dnsSource } from '../../config/schema.ts';
import { describeError } from '../../lib/errors.ts';
import { DnsServer } from '../support/dns-server.ts';
import { eventually } from '../support/eventually.ts';
import { testDeps } from './fixtures/deps.ts';
import { Listener } from './listener.ts';
import { contract } from './suite.ts';
import type { Fault, RegistryFixture } from './suite.ts';

const timings = {
  pollMs: 50,
  minMs: 20,
  maxMs: 10_000,
  answerMs: 600,
  probeEveryMs: 200,
  deadlineMs: 2_000,
  backoffMs: 50,
  maxBackoffMs: 200,
};

function source(server: string, names: readonly object[]) {
  const config = dnsSource.parse({ name: 'dns', kind: 'dns', names, servers: [server] });
  return createDnsSource(config, testDeps(), timings);
}

/** SRV records, whose weight is what can change of an instance; each host is called by its address. */
function dnsFixture(): RegistryFixture {
  const dns = new DnsServer();
  let address = '';
  const entries = Array.from({ length: 60 }, (_, n) => ({
    srv: `_http._tcp.svc-${n + 1}.internal`,
    service: `svc-${n + 1}`,
  }));
  const mood = (name: string, set: typeof dns.mood): Fault => ({
    name,
    begin: async () => void (dns.mood = set),
    end: async () => void (dns.mood = 'good'),
  });
  const code = (name: string, number: number): Fault => ({
    name,
    begin: async () => void dns.codes.set('*', number),
    end: async () => void dns.codes.delete('*'),
  });
  return {
    async start() {
      address = await dns.start();
    },
    stop: () => dns.stop(),
    discoverer: async () => source(address, entries),
    async set(name, instances) {
      const records = instances.map(({ address: ip, port, mark = '1' }) => {
        const target = `h${ip.replaceAll('.', '-')}.internal`;
        dns.zone.set(target, [{ type: 'A', address: ip }]);
        return { type: 'SRV' as const, port, target, weight: Number(mark) };
      });
      dns.zone.set(`_http._tcp.${name}.internal`, records);
    },
    serviceOf: (name) => `${name}.default`,
    markOf: (group, key) =>
      String(group.endpoints.find((e) => `${e.address}:${e.port}` === key)?.weight ?? 'absent'),
    faults: [
      { name: 'killed and restarted', begin: () => dns.stop(), end: async () => void (await dns.start()) },
      { ...mood('frozen', 'silent'), longMs: 30_000 },
      mood('rubbish', 'rubbish'),
      code('SERVFAIL', 2),
      code('REFUSED', 5),
    ],
    async startOver() {
      dns.zone.clear();
    },
    // A server that lost its zones denies everything.
    emptyIs: 'fault',
    lastLeaves: ['group'],
    staleWithinMs: 5_000,
    changeWithinMs: 20_000,
  };
}

describe('a name server', () => contract(dnsFixture(), dnsFixture()));

describe('what only DNS has', () => {
  const soon = <T>(check: () => T) => eventually(check, { withinMs: 5_000, everyMs: 5 });

  async function run(names: readonly object[], dns: DnsServer, body: (listener: Listener) => Promise<void>) {
    const listener = new Listener(source(await dns.start(), names));
    try {
      await body(listener);
    } finally {
      await listener.stop();
      await dns.stop();
    }
  }
  const orders = { name: 'orders.internal', service: 'orders.shop', port: 8080 };
  const billing = { name: 'billing.internal', service: 'billing', port: 80 };

  test('A and AAAA records; the time to live is kept', async () => {
    const dns = new DnsServer();
    dns.zone.set('orders.internal', [
      { type: 'A', address: '10.0.0.1', ttl: 3_600 },
      { type: 'AAAA', address: 'fd00::1', ttl: 3_600 },
    ]);
    dns.zone.set('billing.internal', [{ type: 'A', address: '10.0.0.2' }]);
    await run(
      [billing, { ...billing, name: 'x.internal' }, { ...billing, name: 'y.internal' }, orders],
      dns,
      async (listener) => {
        await soon(() => listener.keys('orders.shop').length === 2);
        expect(listener.keys('orders.shop')).toEqual(['10.0.0.1:8080', '[fd00::1]:8080']);
        expect(listener.groups.get('orders.shop')?.aliases).toContain('orders.internal');
        await soon(() => dns.asked.filter((line) => line === 'A billing.internal').length > 5);
        expect(dns.asked.filter((line) => line === 'A orders.internal')).toHaveLength(1);
      },
    );
  });

  test('SRV: the lowest priority counts, weight 0 is not draining', async () => {
    const dns = new DnsServer();
    dns.zone.set('_http._tcp.orders.internal', [
      { type: 'SRV', priority: 1, weight: 0, port: 8080, target: 'a.internal' },
      { type: 'SRV', priority: 1, weight: 5, port: 8081, target: 'b.internal' },
      { type: 'SRV', priority: 2, weight: 9, port: 8082, target: 'b.internal' },
    ]);
    dns.zone.set('a.internal', [{ type: 'A', address: '10.0.0.1' }]);
    dns.zone.set('b.internal', [{ type: 'A', address: '10.0.0.2' }]);
    await run([{ srv: '_http._tcp.orders.internal', service: 'orders' }], dns, async (listener) => {
      await soon(() => listener.keys('orders.default').length === 2);
      expect(listener.groups.get('orders.default')?.aliases).toContain('orders.internal');
      expect(listener.groups.get('orders.default')?.endpoints).toMatchObject([
        { port: 8080, weight: 1, labels: { hostname: 'a.internal' } },
        { port: 8081, weight: 5, labels: { hostname: 'b.internal' } },
      ]);
    });
  });

  test('a name that fails keeps its answer, the others go on', async () => {
    const dns = new DnsServer();
    dns.zone.set('orders.internal', [{ type: 'A', address: '10.0.0.1' }]);
    dns.zone.set('billing.internal', [{ type: 'A', address: '10.0.0.2' }]);
    await run([orders, billing], dns, async (listener) => {
      await soon(() => listener.keys('orders.shop').length === 1);
      dns.codes.set('orders.internal', 2);
      dns.zone.set('billing.internal', [{ type: 'A', address: '10.0.0.3' }]);
      await soon(() => listener.keys('billing.default')[0] === '10.0.0.3:80');
      expect(listener.keys('orders.shop')).toEqual(['10.0.0.1:8080']);
      expect(listener.stale).toBeUndefined();
    });
  });

  test('a name that is gone has no endpoints; all gone at once is a fault', async () => {
    const dns = new DnsServer();
    dns.zone.set('orders.internal', [{ type: 'A', address: '10.0.0.1' }]);
    dns.zone.set('billing.internal', [{ type: 'A', address: '10.0.0.2' }]);
    await run([orders, billing], dns, async (listener) => {
      await soon(() => listener.keys('orders.shop').length === 1);
      dns.zone.delete('orders.internal');
      await soon(() => listener.groups.get('orders.shop')?.endpoints.length === 0);
      dns.zone.delete('billing.internal');
      await soon(() => listener.stale !== undefined);
      expect(describeError(listener.stale)).toContain('suddenly knows nothing of any name');
      expect(listener.keys('billing.default')).toEqual(['10.0.0.2:80']);
    });
  });
});
