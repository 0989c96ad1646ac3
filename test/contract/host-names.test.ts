// Host names where addresses belong, from true registries, over a name server of the tests: what `serve`
// would see of them.
import { fetch } from 'undici';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createDiscoverer } from '../../adapters/registry.ts';
import { sourceSchema } from '../../config/schema.ts';
import { describePeers } from '../support/describe-peer.ts';
import { DnsServer } from '../support/dns-server.ts';
import { eventually } from '../support/eventually.ts';
import { kubeApi } from '../support/kube-api.ts';
import type { KubeApi } from '../support/kube-api.ts';
import type { Peer } from '../support/peer.ts';
import { testDeps } from './fixtures/deps.ts';
import { Listener } from './listener.ts';

const dns = new DnsServer();
let resolvers: string[] = [];
const listeners: Listener[] = [];
async function listen(fields: object): Promise<Listener> {
  const config = sourceSchema.parse({ name: 'names', resolvers, ...fields });
  const listener = new Listener(await createDiscoverer(config, testDeps()));
  listeners.push(listener);
  return listener;
}
const soon = <T>(check: () => T) => eventually(check, { withinMs: 30_000, everyMs: 20 });
const a = (address: string) => ({ type: 'A' as const, address, ttl: 1 });

beforeAll(async () => {
  resolvers = [await dns.start()];
});
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
});
afterAll(() => dns.stop());

describePeers(['consul'], 'host names in a Consul catalog', (start) => {
  let consul: Peer;
  const register = async (id: string, address: string) => {
    const answer = await fetch(`${consul.url}/v1/catalog/register`, {
      method: 'PUT',
      headers: { connection: 'close' },
      body: JSON.stringify({
        Node: 'n1',
        Address: '10.1.0.1',
        Service: { ID: id, Service: 'orders', Port: 80, Address: address },
      }),
    });
    expect(await answer.text()).toBe('true');
  };
  beforeAll(async () => {
    consul = await start('consul');
  }, 60_000);

  test('become the addresses that they lead to, and follow them', async () => {
    dns.zone.set('web.internal', [a('10.2.0.1'), a('10.2.0.2')]);
    await register('o1', 'Web.internal');
    await register('o2', '10.1.0.9');
    await register('o3', 'nowhere.internal');
    const listener = await listen({ kind: 'consul', address: consul.url });
    const keys = () => listener.keys('orders.default');
    await soon(() => expect(keys()).toEqual(['10.1.0.9:80', '10.2.0.1:80', '10.2.0.2:80']) ?? true);
    expect(listener.first).toBe('sync');
    const [plain, named] = listener.groups.get('orders.default')?.endpoints ?? [];
    expect([plain?.hostname, named?.hostname]).toEqual([undefined, 'web.internal']);
    dns.zone.set('web.internal', [a('10.2.0.3')]);
    await soon(() => keys().join() === '10.1.0.9:80,10.2.0.3:80');
    // A name server that is down takes nothing away.
    dns.mood = 'silent';
    await register('o4', '10.1.0.10');
    await soon(() => keys().includes('10.1.0.10:80'));
    expect(keys()).toContain('10.2.0.3:80');
    dns.mood = 'good';
    expect(listener.fewest('orders.default')).toBeGreaterThan(0);
  });
});

describePeers(['kubernetes'], 'ExternalName in Kubernetes', (start) => {
  let api: KubeApi;
  let kubeconfig = '';
  beforeAll(async () => {
    const kube = await start('kubernetes');
    kubeconfig = kube.kubeconfigFile;
    api = kubeApi(kube);
  }, 60_000);
  afterAll(() => api?.close());

  test('becomes the addresses of its name', async () => {
    dns.zone.set('db.example.org', [a('192.0.2.1'), { type: 'AAAA', address: '2001:db8::5' }]);
    await api.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'db', namespace: 'default' },
      spec: { type: 'ExternalName', externalName: 'db.example.org', ports: [{ name: 'pg', port: 5432 }] },
    });
    const listener = await listen({ kind: 'kubernetes', kubeconfig });
    await soon(() => listener.keys('db.default').length === 2);
    expect(listener.keys('db.default')).toEqual(['192.0.2.1:5432', '[2001:db8::5]:5432']);
  });
});
