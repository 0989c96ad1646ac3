// A true Consul, Eureka, ZooKeeper, etcd and Kubernetes, with a hand on each and the sources that read them.
import type { StartPeer } from './describe-peer.ts';
import { consulHand } from './hands/consul.ts';
import { etcdHand } from './hands/etcd.ts';
import { eurekaHand } from './hands/eureka.ts';
import type { EurekaHand } from './hands/eureka.ts';
import type { Hand } from './hands/hand.ts';
import { kubernetesHand } from './hands/kubernetes.ts';
import { zookeeperHand } from './hands/zookeeper.ts';
import type { Peer } from './peer.ts';

/** Names of the sources, in the order of the config. */
export const FIVE = ['consul', 'eureka', 'zk', 'etcd', 'k8s'] as const;
export type RegistryName = (typeof FIVE)[number];
/** What they run on. */
export const FIVE_PEERS = ['consul', 'eureka', 'zookeeper', 'etcd', 'kubernetes'] as const;

export interface FiveRegistries {
  readonly peers: Readonly<Record<RegistryName, Peer>>;
  readonly hands: Readonly<Record<RegistryName, Hand>> & { readonly eureka: EurekaHand };
  /** For the config. */
  readonly sources: readonly object[];
  kill(name: RegistryName): Promise<void>;
  /** On the data it had; Eureka has none, its clients register again. */
  restart(name: RegistryName): Promise<void>;
  close(): Promise<void>;
}

export async function startFiveRegistries(start: StartPeer): Promise<FiveRegistries> {
  const [consul, eureka, zk, etcd, k8s] = await Promise.all([
    start('consul'),
    start('eureka'),
    start('zookeeper'),
    start('etcd'),
    start('kubernetes'),
  ]);
  const peers = { consul, eureka, zk, etcd, k8s };
  const zookeeperPort = zk.ports['client'] ?? 0;
  const hands = {
    consul: consulHand(consul.url),
    eureka: eurekaHand(`${eureka.url}/eureka`),
    zk: zookeeperHand(zookeeperPort, '/services'),
    etcd: etcdHand(etcd.url, '/services/'),
    k8s: kubernetesHand(k8s),
  };
  return {
    peers,
    hands,
    sources: [
      { name: 'consul', kind: 'consul', address: consul.url },
      { name: 'eureka', kind: 'eureka', urls: [`${eureka.url}/eureka`], pollSeconds: 1 },
      {
        name: 'zk',
        kind: 'zookeeper',
        servers: [`127.0.0.1:${zookeeperPort}`],
        path: '/services',
        layout: 'json',
      },
      { name: 'etcd', kind: 'etcd', endpoints: [etcd.url], prefix: '/services/', layout: 'json' },
      {
        name: 'k8s',
        kind: 'kubernetes',
        kubeconfig: k8s.kubeconfigFile,
        namespaces: ['default'],
        exclude: { services: ['kubernetes'] },
      },
    ],
    async kill(name) {
      // Both at once, or etcd would be missed by its apiserver.
      await Promise.all([peers[name].kill(), ...(name === 'k8s' ? [k8s.kill('etcd')] : [])]);
    },
    async restart(name) {
      if (name === 'k8s') await k8s.restart('etcd');
      await peers[name].restart();
      if (name === 'eureka') await hands.eureka.again();
    },
    close: async () => {
      for (const hand of Object.values(hands)) await hand.close();
    },
  };
}
