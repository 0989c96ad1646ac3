import { takeTurns } from '../../../../lib/turns.ts';
import { describe, expect, it } from 'vitest';
import { slimService, slimSlice } from '../../../../adapters/kubernetes/objects.ts';
import { KubeStore } from '../../../../adapters/kubernetes/store.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';

const turns = takeTurns(new AbortController().signal);

const store = (include: (service: string) => boolean = () => true) =>
  new KubeStore({ locality: NO_LOCALITY, network: '' }, include);

const service = (name: string, spec: object = { ports: [{ name: 'http', port: 80 }] }, namespace = 'shop') =>
  slimService({ metadata: { name, namespace, managedFields: [{}] }, spec });

const slice = (name: string, owner: string, addresses: readonly string[], namespace = 'shop') =>
  slimSlice({
    metadata: { name, namespace, labels: { 'kubernetes.io/service-name': owner } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: addresses.map((address) => ({ addresses: [address] })),
  });

const addresses = (s: KubeStore, name: string) => s.group(name)?.endpoints.map((e) => e.address);

describe('KubeStore', () => {
  it('joins the slices of a service, and names only the service that a change touches', async () => {
    const s = store();
    await s.replaceServices('*', [service('orders'), service('cart')], turns);
    await s.replaceSlices(
      '*',
      [slice('o1', 'orders', ['10.0.0.1']), slice('c1', 'cart', ['10.0.0.9'])],
      turns,
    );
    expect(s.putSlice(slice('o2', 'orders', ['10.0.0.2']))).toEqual(['orders.shop']);
    expect(addresses(s, 'orders.shop')).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(s.groups().map((g) => g.service)).toEqual(['cart.shop', 'orders.shop']);
  });

  it('says nothing of a change that changes nothing', () => {
    const s = store();
    s.putService(service('orders'));
    s.putSlice(slice('o1', 'orders', ['10.0.0.1']));
    expect(s.putService(service('orders'))).toEqual([]);
    expect(s.putSlice(slice('o1', 'orders', ['10.0.0.1']))).toEqual([]);
    expect(s.deleteSlice(slice('o9', 'orders', []))).toEqual([]);
    expect(s.deleteService(service('nobody'))).toEqual([]);
  });

  it('touches both services when a slice moves from one to the other', async () => {
    const s = store();
    await s.replaceServices('*', [service('orders'), service('cart')], turns);
    s.putSlice(slice('x', 'orders', ['10.0.0.1']));
    expect(s.putSlice(slice('x', 'cart', ['10.0.0.1'])).sort()).toEqual(['cart.shop', 'orders.shop']);
    expect(addresses(s, 'orders.shop')).toEqual([]);
    expect(addresses(s, 'cart.shop')).toEqual(['10.0.0.1']);
  });

  it('lists a service until both its Service and its slices are gone', () => {
    const s = store();
    s.putService(service('orders'));
    s.putSlice(slice('o1', 'orders', ['10.0.0.1']));
    s.deleteService(service('orders'));
    expect(addresses(s, 'orders.shop')).toEqual(['10.0.0.1']);
    s.deleteSlice(slice('o1', 'orders', []));
    expect(s.group('orders.shop')).toBeUndefined();
    expect(s.groups()).toEqual([]);
  });

  it('knows a Service without slices as empty', () => {
    const s = store();
    s.putService(service('orders'));
    expect(addresses(s, 'orders.shop')).toEqual([]);
  });

  it('replaces one namespace and leaves the others', async () => {
    const s = store();
    await s.replaceServices('shop', [service('orders'), service('cart')], turns);
    await s.replaceServices('pay', [service('ledger', undefined, 'pay')], turns);
    await s.replaceSlices('shop', [slice('o1', 'orders', ['10.0.0.1'])], turns);
    await s.replaceSlices('pay', [slice('l1', 'ledger', ['10.0.0.5'], 'pay')], turns);
    await s.replaceServices('shop', [service('orders')], turns);
    await s.replaceSlices('shop', [slice('o2', 'orders', ['10.0.0.2'])], turns);
    expect(s.groups().map((g) => g.service)).toEqual(['ledger.pay', 'orders.shop']);
    expect(addresses(s, 'orders.shop')).toEqual(['10.0.0.2']);
    expect(addresses(s, 'ledger.pay')).toEqual(['10.0.0.5']);
  });

  it('leaves out an ExternalName Service without ports', () => {
    const s = store();
    const external = { type: 'ExternalName', externalName: 'db.example.org' };
    s.putService(service('db', { ...external, ports: [] }));
    expect(s.groups()).toEqual([]);
    expect(s.putService(service('db', { ...external, ports: [{ port: 5432 }] }))).toEqual(['db.shop']);
    expect(addresses(s, 'db.shop')).toEqual(['db.example.org']);
    expect(s.putService(service('db'))).toEqual(['db.shop']);
    expect(s.group('db.shop')).toBeDefined();
  });

  it('keeps nothing of a service that is not included', () => {
    const s = store((name) => name === 'orders.shop');
    expect(s.putService(service('cart'))).toEqual([]);
    expect(s.putSlice(slice('c1', 'cart', ['10.0.0.9']))).toEqual([]);
    expect(s.putSlice(slice('o1', 'orders', ['10.0.0.1']))).toEqual(['orders.shop']);
    expect(s.groups().map((g) => g.service)).toEqual(['orders.shop']);
  });

  it('knows which services list a pod or use a node, until they do no longer', () => {
    const s = store();
    const on = (name: string, owner: string, pod: string, node: string) =>
      slimSlice({
        metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': owner } },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['10.0.0.1'], nodeName: node, targetRef: { kind: 'Pod', name: pod } }],
      });
    s.putSlice(on('o4', 'orders', 'p1', 'n1'));
    s.putSlice(on('o6', 'orders', 'p1', 'n1'));
    s.putSlice(on('c1', 'cart', 'p1', 'n2'));
    expect(s.servicesOfPods(['shop/p1', 'shop/p9']).sort()).toEqual(['cart.shop', 'orders.shop']);
    expect(s.servicesOnNodes(['n2'])).toEqual(['cart.shop']);
    s.putSlice(on('c1', 'cart', 'p2', 'n1'));
    s.deleteSlice(on('o4', 'orders', 'p1', 'n1'));
    expect(s.servicesOfPods(['shop/p1'])).toEqual(['orders.shop']);
    s.deleteSlice(on('o6', 'orders', '', ''));
    expect(s.listsPod('shop/p1')).toBe(false);
    expect(s.servicesOnNodes(['n1'])).toEqual(['cart.shop']);
  });

  it('shows only the services of its namespaces, and names those that come and go', () => {
    const s = store();
    s.setNamespaces(['pay']);
    s.putService(service('orders'));
    s.putService(service('ledger', undefined, 'pay'));
    expect(s.groups().map((g) => g.service)).toEqual(['ledger.pay']);
    expect(s.setNamespaces(['shop']).sort()).toEqual(['ledger.pay', 'orders.shop']);
    expect(s.setNamespaces(['shop', 'new'])).toEqual([]);
    expect(s.group('ledger.pay')).toBeUndefined();
    expect(s.group('orders.shop')).toBeDefined();
  });

  it('keeps slices of one family if told so', () => {
    const s = new KubeStore({ locality: NO_LOCALITY, network: '', ipFamily: 'ipv6' }, () => true);
    s.putService(service('orders'));
    expect(s.putSlice(slice('o4', 'orders', ['10.0.0.1']))).toEqual([]);
    const six = { ...slice('o6', 'orders', ['fd00::1']), addressType: 'IPv6' };
    expect(s.putSlice(six)).toEqual(['orders.shop']);
    expect(addresses(s, 'orders.shop')).toEqual(['fd00::1']);
  });
});
