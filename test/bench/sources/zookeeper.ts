// ZooKeeper for the rows `sources`: what Spring Cloud writes through Curator, created by multis of 500. For
// Prometheus, which knows no Curator, the same as serversets beside it.
import zookeeper from 'node-zookeeper-client';
import { startPeer } from '../../support/start-peer.ts';
import { zookeeperRequests } from './counting-proxy.ts';
import { addressOf, batches, serviceNameOf, times, withJavaHeap, zoneOf } from './registry.ts';
import type { Registry } from './registry.ts';

const OPERATIONS = 500;

function curator(service: number, index: number, mark?: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      name: serviceNameOf(service),
      id: `${serviceNameOf(service)}-${index}`,
      address: addressOf(service, index),
      port: 8080,
      sslPort: null,
      payload: {
        '@class': 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance',
        id: `${serviceNameOf(service)}-${index}`,
        name: serviceNameOf(service),
        metadata: {
          instance_status: 'UP',
          version: 'v1',
          team: `team-${service % 40}`,
          zone: zoneOf(index),
          ...(mark ? { t: mark } : {}),
        },
      },
      registrationTimeUTC: 1_700_000_000_000,
      serviceType: 'DYNAMIC',
      uriSpec: { parts: [] },
    }),
  );
}

const serverset = (service: number, index: number) =>
  Buffer.from(
    JSON.stringify({
      serviceEndpoint: { host: addressOf(service, index), port: 8080 },
      additionalEndpoints: {},
      status: 'ALIVE',
      shard: index,
    }),
  );

export async function zookeeperRegistry(): Promise<Registry> {
  const peer = await withJavaHeap('-Xmx2g -XX:+UseParallelGC', () => startPeer('zookeeper', 'process'));
  const port = peer.ports['client'] ?? 0;
  const client = zookeeper.createClient(`127.0.0.1:${port}`, { sessionTimeout: 30_000 });
  await new Promise<void>((resolve) => {
    client.once('connected', resolve);
    client.connect();
  });
  const create = (nodes: readonly (readonly [string, Buffer?])[]) =>
    new Promise<void>((resolve, reject) => {
      const multi = client.transaction();
      for (const [path, data] of nodes) multi.create(path, data ?? Buffer.alloc(0));
      multi.commit((error) => (error ? reject(new Error(String(error))) : resolve()));
    });
  return {
    port,
    counter: zookeeperRequests,
    async fill(catalogue, signal) {
      await create([['/services'], ['/sets']]);
      const folders = Array.from({ length: catalogue.services }, (_, n) => serviceNameOf(n));
      for (let n = 0; n < folders.length; n += OPERATIONS) {
        const some = folders.slice(n, n + OPERATIONS);
        await create(some.map((name) => [`/services/${name}`]));
        await create(some.map((name) => [`/sets/${name}`]));
      }
      const all = batches(catalogue, OPERATIONS);
      await times(all.length, 4, signal, async (n) => {
        const some = all[n] ?? [];
        await create(
          some.map(({ service, index }) => [
            `/services/${serviceNameOf(service)}/${index}`,
            curator(service, index),
          ]),
        );
        await create(
          some.map(({ service, index }) => [
            `/sets/${serviceNameOf(service)}/member_${index}`,
            serverset(service, index),
          ]),
        );
      });
    },
    change: (service, index, mark) =>
      new Promise((resolve, reject) => {
        const path = `/services/${serviceNameOf(service)}/${index}`;
        client.setData(path, curator(service, index, mark), (error) =>
          error ? reject(new Error(String(error))) : resolve(),
        );
      }),
    source: (through) => ({
      kind: 'zookeeper',
      servers: [`127.0.0.1:${through}`],
      path: '/services',
      layout: 'curator',
    }),
    prometheus: (through) => ['-kind', 'zookeeper', '-address', `127.0.0.1:${through}`, '-path', '/sets'],
    async stop() {
      client.close();
      await peer.stop();
    },
  };
}
