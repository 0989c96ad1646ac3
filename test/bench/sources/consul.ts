// Consul for the rows `sources`: 100 nodes, filled by transactions of 64 operations.
import { startPeer } from '../../support/start-peer.ts';
import { httpRequests } from './counting-proxy.ts';
import { addressOf, batches, caller, serviceNameOf, times, zoneOf } from './registry.ts';
import type { Registry } from './registry.ts';

const NODES = 100;
/** Consul's own bound on a transaction. */
const OPERATIONS = 64;

const nodeOf = (service: number, index: number) => `node-${(service * 7 + index) % NODES}`;

function serviceOf(service: number, index: number, mark?: string) {
  return {
    ID: `${serviceNameOf(service)}-${index}`,
    Service: serviceNameOf(service),
    Address: addressOf(service, index),
    Port: 8080,
    Tags: ['http', 'v1'],
    Meta: { version: 'v1', team: `team-${service % 40}`, zone: zoneOf(index), ...(mark ? { t: mark } : {}) },
  };
}

export async function consulRegistry(): Promise<Registry> {
  const peer = await startPeer('consul', 'process');
  const { call, close } = caller(peer.url);
  return {
    port: peer.ports['http'] ?? 0,
    counter: httpRequests,
    async fill(catalogue, signal) {
      await times(NODES, 8, signal, (n) =>
        call('PUT', '/v1/catalog/register', { Node: `node-${n}`, Address: `10.0.0.${n + 1}` }),
      );
      const all = batches(catalogue, OPERATIONS);
      await times(all.length, 8, signal, (n) =>
        call(
          'PUT',
          '/v1/txn',
          all[n]?.map(({ service, index }) => ({
            Service: { Verb: 'set', Node: nodeOf(service, index), Service: serviceOf(service, index) },
          })),
        ),
      );
    },
    async change(service, index, mark) {
      await call('PUT', '/v1/catalog/register', {
        Node: nodeOf(service, index),
        SkipNodeUpdate: true,
        Service: serviceOf(service, index, mark),
      });
    },
    source: (port) => ({ kind: 'consul', address: `http://127.0.0.1:${port}` }),
    prometheus: (port) => ['-kind', 'consul', '-address', `127.0.0.1:${port}`],
    async stop() {
      await close();
      await peer.stop();
    },
  };
}
