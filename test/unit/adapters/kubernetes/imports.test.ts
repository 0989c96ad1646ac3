// ServiceImports and their slices in the store, and label selectors as the API takes them.
import { describe, expect, it } from 'vitest';
import { slimImportedSlice, slimService, slimSlice } from '../../../../adapters/kubernetes/objects.ts';
import { namespacesWith } from '../../../../adapters/kubernetes/resources.ts';
import { KubeStore } from '../../../../adapters/kubernetes/store.ts';
import { takeTurns } from '../../../../lib/turns.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';

const turns = takeTurns(new AbortController().signal);
const NAME = 'orders.shop';
const options = { locality: NO_LOCALITY, network: '' };
const named = (name: string, namespace = 'shop') =>
  slimService({ metadata: { name, namespace }, spec: { ports: [{ name: 'http', port: 80 }] } });
/** With both labels, as some importers write them. */
const slice = (name: string, address: string, own: string, imported?: string) => ({
  metadata: {
    name,
    namespace: 'shop',
    labels: {
      'kubernetes.io/service-name': own,
      ...(imported === undefined ? {} : { 'multicluster.kubernetes.io/service-name': imported }),
    },
  },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080 }],
  endpoints: [{ addresses: [address], hints: { forZones: [{ name: 'b' }, { name: 'a' }] } }],
});
const addresses = (store: KubeStore, name = NAME) => store.group(name)?.endpoints.map((e) => e.address);

describe('a ServiceImport', () => {
  it('is a service of its name, with its slices, and found in the cluster set', () => {
    const store = new KubeStore(options, () => true);
    expect(store.replaceImports('*', [named('orders')])).toEqual([NAME]);
    expect(store.putSlice(slimImportedSlice(slice('x', '10.9.0.1', 'derived', 'orders')))).toEqual([NAME]);
    expect(addresses(store)).toEqual(['10.9.0.1']);
    expect(store.group(NAME)?.aliases).toContain('orders.shop.svc.clusterset.local');
    expect(store.group(NAME)?.ports).toEqual([{ name: 'http', port: 80, protocol: 'http' }]);
  });

  it('unites with the Service of its name; each list leaves the slices of the other alone', async () => {
    const store = new KubeStore(options, () => true);
    await store.replaceServices('*', [named('orders')], turns);
    store.replaceImports('*', [named('orders')]);
    const both = slice('x', '10.9.0.1', 'orders', 'orders');
    await store.replaceSlices('*', [slimSlice(both), slimSlice(slice('l', '10.0.0.1', 'orders'))], turns);
    await store.replaceSlices(
      '*',
      [slimImportedSlice(both), slimImportedSlice(slice('r', '10.9.0.2', '', 'orders'))],
      turns,
      true,
    );
    expect(addresses(store)).toEqual(['10.0.0.1', '10.9.0.1', '10.9.0.2']);
    await store.replaceSlices('*', [], turns);
    expect(addresses(store)).toEqual(['10.9.0.1', '10.9.0.2']);
    expect(await store.replaceSlices('*', [], turns, true)).toEqual([NAME, NAME]);
    expect(store.replaceImports('*', [])).toEqual([NAME]);
    expect(store.group(NAME)?.aliases).not.toContain('orders.shop.svc.clusterset.local');
    await store.replaceServices('*', [], turns);
    expect(store.names()).toEqual([]);
  });

  it('of other namespaces is not touched', () => {
    const store = new KubeStore(options, () => true);
    store.replaceImports('*', [named('orders'), named('orders', 'pay')]);
    store.replaceImports('shop', []);
    expect(store.names()).toEqual(['orders.pay']);
  });

  it('takes no part when it is not included', () => {
    const store = new KubeStore(options, () => false);
    expect(store.setImport(named('orders'), named('orders'))).toEqual([]);
  });
});

it('of annotations only those that have a meaning are kept', () => {
  const annotations = {
    'consul.hashicorp.com/service-weight': '3',
    'isthmus.dev/port': 'http',
    'kubectl.kubernetes.io/last-applied-configuration': '{}',
  };
  const slim = slimService({ metadata: { name: 'a', namespace: 'b', annotations }, spec: {} });
  expect(Object.keys(slim.metadata?.annotations ?? {})).toEqual([
    'consul.hashicorp.com/service-weight',
    'isthmus.dev/port',
  ]);
});

it('zones that are hinted at are a label', () => {
  const store = new KubeStore(options, () => true);
  store.putSlice(slimSlice(slice('x', '10.0.0.1', 'orders')));
  expect(store.group(NAME)?.endpoints[0]?.labels).toEqual({ hintedZones: 'a,b' });
});

it('a selector is written as the API takes it', () => {
  const expression = (
    key: string,
    operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist',
    ...values: string[]
  ) => ({
    key,
    operator,
    values,
  });
  const selector = {
    matchLabels: { env: 'prod' },
    matchExpressions: [
      expression('team', 'In', 'a', 'b'),
      expression('tier', 'NotIn', 'x'),
      expression('mesh', 'Exists'),
      expression('legacy', 'DoesNotExist'),
    ],
  };
  expect(namespacesWith(selector).label).toBe('env=prod,team in (a,b),tier notin (x),mesh,!legacy');
});
