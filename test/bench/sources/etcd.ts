// etcd for the rows `sources`: what go.etcd.io's endpoint manager writes, by transactions of 128 operations.
import { startPeer } from '../../support/start-peer.ts';
import { http2Requests } from './counting-proxy.ts';
import { addressOf, batches, caller, serviceNameOf, times, zoneOf } from './registry.ts';
import type { Registry } from './registry.ts';

/** etcd's own bound on a transaction. */
const OPERATIONS = 128;

const base64 = (text: string) => Buffer.from(text).toString('base64');

function put(service: number, index: number, mark?: string) {
  const metadata = {
    version: 'v1',
    team: `team-${service % 40}`,
    zone: zoneOf(index),
    ...(mark ? { t: mark } : {}),
  };
  return {
    key: base64(`/services/${serviceNameOf(service)}/${index}`),
    value: base64(JSON.stringify({ Op: 0, Addr: `${addressOf(service, index)}:8080`, Metadata: metadata })),
  };
}

export async function etcdRegistry(): Promise<Registry> {
  const peer = await startPeer('etcd', 'process');
  const { call, close } = caller(peer.url);
  return {
    port: peer.ports['client'] ?? 0,
    counter: http2Requests,
    async fill(catalogue, signal) {
      const all = batches(catalogue, OPERATIONS);
      await times(all.length, 4, signal, (n) =>
        call('POST', '/v3/kv/txn', {
          success: all[n]?.map(({ service, index }) => ({ requestPut: put(service, index) })),
        }),
      );
    },
    async change(service, index, mark) {
      await call('POST', '/v3/kv/put', put(service, index, mark));
    },
    source: (port) => ({
      kind: 'etcd',
      endpoints: [`127.0.0.1:${port}`],
      prefix: '/services/',
      layout: 'grpc-naming',
    }),
    async stop() {
      await close();
      await peer.stop();
    },
  };
}
