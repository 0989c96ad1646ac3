// What the demo registers where, and how. `orders` lives in five registries at once, with one address that
// all of them know. Used by seed.ts against compose.yaml, by demo.ts and by the tests against servers anywhere.
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { consulHand } from '../test/support/hands/consul.ts';
import { etcdHand } from '../test/support/hands/etcd.ts';
import { eurekaHand } from '../test/support/hands/eureka.ts';
import type { Hand, Instance } from '../test/support/hands/hand.ts';
import { kubernetesHand } from '../test/support/hands/kubernetes.ts';
import { zookeeperHand } from '../test/support/hands/zookeeper.ts';
import type { KubeAccess } from '../test/support/kube-api.ts';

export const CONFIG_FILE = fileURLToPath(new URL('./isthmus.yaml', import.meta.url));

/** Known to five registries. */
export const ORDERS_1: Instance = { address: '10.244.0.11', port: 8080 };
/** A pod that only Kubernetes knows. */
export const ORDERS_2: Instance = { address: '10.244.0.12', port: 8080 };
const ELSE: Instance = { address: '10.244.0.13', port: 8080 };

/** Kubernetes has no weights; the mark of an instance is its zone there. */
const inZone = (instance: Instance): Instance => ({ ...instance, mark: 'k8s-a' });

/** Names of sources in isthmus.yaml that are seeded over the network. */
export const SEEDED = ['consul-dc1', 'eureka', 'zk', 'etcd', 'k8s'] as const;
export type Seeded = (typeof SEEDED)[number];

const WORLD: Readonly<Record<Seeded, Readonly<Record<string, readonly Instance[]>>>> = {
  'consul-dc1': { orders: [ORDERS_1], payments: [ELSE] },
  eureka: { orders: [ORDERS_1], billing: [ELSE] },
  zk: { orders: [ORDERS_1], search: [ELSE] },
  etcd: { orders: [ORDERS_1], sessions: [ELSE] },
  k8s: { orders: [ORDERS_1, ORDERS_2].map(inZone), web: [inZone(ELSE)] },
};

export interface Addresses {
  /** http://HOST:PORT */
  readonly consul: string;
  readonly eureka: string;
  readonly etcd: string;
  readonly zookeeperPort: number;
  readonly kubernetes: KubeAccess;
}

/** Registers everything; again is fine. */
export async function seed(at: Addresses): Promise<void> {
  const hands: Readonly<Record<Seeded, Hand>> = {
    'consul-dc1': consulHand(at.consul),
    eureka: eurekaHand(`${at.eureka}/eureka`),
    zk: zookeeperHand(at.zookeeperPort, '/services'),
    etcd: etcdHand(at.etcd, '/services/'),
    k8s: kubernetesHand(at.kubernetes),
  };
  for (const name of SEEDED) {
    for (const [service, instances] of Object.entries(WORLD[name])) await hands[name].set(service, instances);
    await hands[name].close();
  }
}

/** The sources of isthmus.yaml, with these fields instead of theirs, by name. Paths become absolute. */
export async function sourcesAt(instead: Readonly<Record<string, object>>): Promise<readonly object[]> {
  const { sources } = parse(await readFile(CONFIG_FILE, 'utf8')) as {
    sources: { name: string; path?: string }[];
  };
  const unknown = Object.keys(instead).filter((name) => !sources.some((source) => source.name === name));
  if (unknown.length > 0) throw new Error(`isthmus.yaml has no source ${unknown.join(', ')}`);
  return sources.map((source) => ({
    ...source,
    ...(source.path?.startsWith('./') ? { path: resolve(dirname(CONFIG_FILE), source.path) } : {}),
    ...instead[source.name],
  }));
}
