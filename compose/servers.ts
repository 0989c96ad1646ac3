// The registries of the demo as processes or containers of the tests, on free ports, seeded.
import { DnsServer } from '../test/support/dns-server.ts';
import type { KubernetesPeer, Peer, PeerTypes } from '../test/support/peer.ts';
import type { PeerName } from '../test/support/peers.ts';
import { ORDERS_1, seed, sourcesAt } from './world.ts';

/** The peers whose servers it needs. */
export const DEMO_PEERS = ['consul', 'eureka', 'zookeeper', 'etcd', 'kubernetes'] as const;

export interface DemoServers {
  /** For the config: isthmus.yaml with these servers' addresses. */
  readonly sources: readonly object[];
  /** By the name of their source. */
  readonly peers: ReadonlyMap<string, Peer>;
  /** Ends what the caller of `start` does not own. */
  stop(): Promise<void>;
}

export async function startDemoServers(
  start: <N extends PeerName>(name: N) => Promise<PeerTypes[N]>,
): Promise<DemoServers> {
  const kube: KubernetesPeer = await start('kubernetes');
  const consul = await start('consul');
  const etcd = await start('etcd');
  const zookeeper = await start('zookeeper');
  const eureka = await start('eureka');
  const dns = new DnsServer();
  dns.zone.set('orders.service.consul', [{ type: 'A', address: ORDERS_1.address }]);
  const dnsAddress = await dns.start();
  const zookeeperPort = zookeeper.ports['client'] ?? 0;
  await seed({ consul: consul.url, eureka: eureka.url, etcd: etcd.url, zookeeperPort, kubernetes: kube });
  return {
    sources: await sourcesAt({
      'consul-dc1': { address: consul.url },
      eureka: { urls: [`${eureka.url}/eureka`] },
      zk: { servers: [`127.0.0.1:${zookeeperPort}`] },
      etcd: { endpoints: [etcd.url] },
      k8s: { kubeconfig: kube.kubeconfigFile },
      dns: { servers: [dnsAddress] },
    }),
    peers: new Map<string, Peer>([
      ['consul-dc1', consul],
      ['eureka', eureka],
      ['zk', zookeeper],
      ['etcd', etcd],
      ['k8s', kube],
    ]),
    stop: () => dns.stop(),
  };
}
