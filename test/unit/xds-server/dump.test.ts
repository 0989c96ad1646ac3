// The config dump in Envoy's form: what it says can be read back as Envoy's own messages.
import { expect, it } from 'vitest';
import { messageType } from '../../../proto/codec.ts';
import { nodeWith } from '../../support/xds-messages.ts';
import { startServer } from './running.ts';
import { service } from './services.ts';

const ORDERS = 'orders.default';
const orders = service(ORDERS, '10.0.0.1:80');

interface Dump {
  readonly configs: readonly (Readonly<Record<string, unknown>> & { readonly '@type': string })[];
}
type Part = readonly Readonly<Record<string, unknown>>[];

it('names every part and every field as Envoy does', async () => {
  const { server } = await startServer([orders]);
  const { configs } = server.configDump() as unknown as Dump;
  expect(configs.map((config) => config['@type'].split('.').at(-1))).toEqual([
    'ClustersConfigDump',
    'EndpointsConfigDump',
    'ListenersConfigDump',
    'RoutesConfigDump',
  ]);
  for (const config of configs) {
    const type = messageType(config['@type'].split('/')[1] ?? '');
    for (const [field, value] of Object.entries(config)) {
      if (field === '@type') continue;
      expect(Object.keys(type.fields)).toContain(field);
      const of = type.fields[field]?.resolve().resolvedType;
      if (!Array.isArray(value) || !of || !('fields' in of)) continue;
      for (const entry of value as Part) {
        for (const name of Object.keys(entry)) expect(Object.keys(of.fields)).toContain(name);
      }
    }
  }
  expect(configs[0]).toMatchObject({
    dynamic_active_clusters: [
      { cluster: { '@type': 'type.googleapis.com/envoy.config.cluster.v3.Cluster', name: ORDERS } },
    ],
  });
  expect(server.endpointsDump()).toMatchObject([{ cluster_name: ORDERS, endpoints: [{}] }]);
});

it('says what became of each at one node: ACKED, or NACKED with its words', async () => {
  const running = await startServer([orders]);
  const client = running.xds('delta', nodeWith('sidecar', { appPort: 8080 }));
  client.send('cds');
  await client.take('cds');
  client.send('eds', { subscribe: [ORDERS] });
  client.nack(await client.expectResponse('eds'), `${ORDERS}: not with me`);
  client.send('lds');
  await client.take('lds');
  const { configs } = running.server.configDump('sidecar') as unknown as Dump;
  expect(configs[0]?.['dynamic_active_clusters']).toMatchObject([
    { cluster: { name: 'inbound:8080' }, client_status: 'ACKED' },
    { cluster: { name: ORDERS }, client_status: 'ACKED' },
  ]);
  expect(configs[1]?.['dynamic_endpoint_configs']).toMatchObject([
    { client_status: 'NACKED', error_state: { details: `${ORDERS}: not with me` } },
  ]);
  expect(configs[2]?.['dynamic_listeners']).toMatchObject([{ name: 'inbound' }, { name: 'outbound' }]);
  // Never asked for: it may see it, and nothing became of it.
  const [route] = (configs[3]?.['dynamic_route_configs'] ?? []) as Part;
  expect(route).toBeDefined();
  expect(route).not.toHaveProperty('client_status');
  expect(running.server.endpointsDump('stranger')).toBeUndefined();
});
