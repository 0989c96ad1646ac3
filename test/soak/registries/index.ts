// The registries of the soak, by kind. A kind whose server cannot be started here is left out with a reason.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { DnsServer } from '../../support/dns-server.ts';
import { consulHand } from '../../support/hands/consul.ts';
import { dnsHand, srvNameOf } from '../../support/hands/dns.ts';
import { etcdHand } from '../../support/hands/etcd.ts';
import { eurekaHand } from '../../support/hands/eureka.ts';
import { survey } from '../../support/peers.ts';
import type { PeerName } from '../../support/peers.ts';
import { startPeer } from '../../support/start-peer.ts';
import { startFile } from './file.ts';
import { startKubernetes } from './kubernetes.ts';
import { Way, serverFaults } from './registry.ts';
import type { Registry, SoakFault, StartRegistry } from './registry.ts';
import { startZookeeper } from './zookeeper.ts';

const startConsul: StartRegistry = async (mode) => {
  const peer = await startPeer('consul', mode);
  const way = new Way();
  const port = await way.http(peer.url);
  return {
    hand: consulHand(peer.url),
    source: { kind: 'consul', address: `http://127.0.0.1:${port}` },
    faults: [...serverFaults(peer), ...way.faults],
    healed: '/v1/catalog/service/NAME of every service',
    log: () => peer.log(),
    async stop() {
      await way.stop();
      await peer.stop();
    },
  };
};

const startEtcd: StartRegistry = async (mode) => {
  const peer = await startPeer('etcd', mode);
  const way = new Way();
  const port = await way.tcp(peer.ports['client'] ?? 0);
  return {
    hand: etcdHand(peer.url, '/services/'),
    source: { kind: 'etcd', endpoints: [`127.0.0.1:${port}`], prefix: '/services/', layout: 'json' },
    faults: [...serverFaults(peer), ...way.faults],
    healed: 'a linearizable range over the prefix',
    log: () => peer.log(),
    async stop() {
      await way.stop();
      await peer.stop();
    },
  };
};

/**
 * It keeps its registry in memory: after a restart it is closed (403) for this long, while the clients
 * register again. Its answers are up to a second old.
 */
const EUREKA_CLOSED_MS = 15_000;

const startEureka: StartRegistry = async (mode) => {
  const peer = await startPeer('eureka', mode, {
    args: [
      '--eureka.instance.registry.default-open-for-traffic-count=0',
      `--eureka.server.wait-time-in-ms-when-sync-empty=${EUREKA_CLOSED_MS}`,
    ],
  });
  const hand = eurekaHand(`${peer.url}/eureka`);
  await eventually(() => hand.ask(), { withinMs: 4 * EUREKA_CLOSED_MS, what: 'Eureka to open' });
  const way = new Way();
  const port = await way.http(peer.url);
  return {
    hand,
    source: { kind: 'eureka', urls: [`http://127.0.0.1:${port}/eureka`], pollSeconds: 1 },
    faults: [...serverFaults(peer, undefined, () => hand.again()), ...way.faults],
    healed: `/apps, and /apps/delta with the same hash; caches of 1 s; after a restart closed for ${EUREKA_CLOSED_MS / 1_000} s, clients register again`,
    log: () => peer.log(),
    async stop() {
      await way.stop();
      await peer.stop();
    },
  };
};

const startDns: StartRegistry = async (_mode, services) => {
  const dns = new DnsServer();
  const address = await dns.start();
  const mood = (name: string, set: typeof dns.mood): SoakFault => ({
    name,
    layer: 'answers',
    writable: true,
    begin: async () => void (dns.mood = set),
    end: async () => void (dns.mood = 'good'),
  });
  const code = (name: string, number: number): SoakFault => ({
    name,
    layer: 'access',
    writable: true,
    begin: async () => void dns.codes.set('*', number),
    end: async () => void dns.codes.delete('*'),
  });
  return {
    hand: dnsHand(dns, address, services),
    source: {
      kind: 'dns',
      servers: [address],
      pollSeconds: 1,
      names: services.map((service) => ({ srv: srvNameOf(service), service })),
    },
    faults: [
      {
        name: 'gone',
        layer: 'server',
        writable: true,
        begin: () => dns.stop(),
        end: async () => void (await dns.start()),
      },
      mood('silent', 'silent'),
      mood('rubbish', 'rubbish'),
      code('SERVFAIL', 2),
      code('REFUSED', 5),
    ],
    healed: 'SRV of every name, over UDP',
    log: () => '',
    stop: () => dns.stop(),
  };
};

const startFiles: StartRegistry = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-soak-file-'));
  return startFile(join(folder, 'vms.json'), () => rm(folder, { recursive: true, force: true }));
};

/** Kind → how it is started, and the peer whose server it needs. */
const KINDS: Readonly<Record<string, { readonly start: StartRegistry; readonly peer?: PeerName }>> = {
  consul: { start: startConsul, peer: 'consul' },
  kubernetes: { start: startKubernetes, peer: 'kubernetes' },
  etcd: { start: startEtcd, peer: 'etcd' },
  zookeeper: { start: startZookeeper, peer: 'zookeeper' },
  eureka: { start: startEureka, peer: 'eureka' },
  dns: { start: startDns },
  file: { start: startFiles },
};

export const KIND_NAMES: readonly string[] = Object.keys(KINDS);

export interface Startable {
  readonly kind: string;
  readonly start: (services: readonly string[]) => Promise<Registry>;
}

export async function startable(
  kinds: readonly string[],
): Promise<{ readonly found: readonly Startable[]; readonly skipped: readonly string[] }> {
  const peers = await survey();
  const found: Startable[] = [];
  const skipped: string[] = [];
  for (const kind of kinds) {
    const row = KINDS[kind];
    if (!row) throw new Error(`no kind "${kind}"; there are: ${KIND_NAMES.join(', ')}`);
    const choice = row.peer === undefined ? ({ mode: 'process' } as const) : peers[row.peer];
    if (choice.mode === 'skip') skipped.push(`${kind}: ${choice.reason}`);
    else found.push({ kind, start: (services) => row.start(choice.mode, services) });
  }
  return { found, skipped };
}
