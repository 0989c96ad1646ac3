// A true ZooKeeper as a registry of the soak.
import { createHash } from 'node:crypto';
import { forEverybody, onlyFor, zookeeperHand as session } from '../../contract/fixtures/zookeeper.ts';
import { zookeeperHand } from '../../support/hands/zookeeper.ts';
import { startPeer } from '../../support/start-peer.ts';
import { Way, serverFaults } from './registry.ts';
import type { SoakFault, StartRegistry } from './registry.ts';

const PATH = '/services';
const USER = 'soak:secret';

export const startZookeeper: StartRegistry = async (mode) => {
  const peer = await startPeer('zookeeper', mode);
  const port = peer.ports['client'] ?? 0;
  const first = await session(port);
  await first.put(PATH, '');
  first.close();
  const way = new Way();
  const digest = `soak:${createHash('sha1').update(USER).digest('base64')}`;
  const setAcl = async (acls: Parameters<typeof first.setAcl>[1]) => {
    const hand = await session(port, USER);
    await hand.setAcl(PATH, acls);
    hand.close();
  };
  const revoked: SoakFault = {
    name: 'rights revoked',
    layer: 'access',
    writable: true,
    begin: () => setAcl(onlyFor(digest)),
    end: () => setAcl(forEverybody()),
  };
  return {
    hand: zookeeperHand(port, PATH, USER),
    source: {
      kind: 'zookeeper',
      servers: [`127.0.0.1:${await way.tcp(port)}`],
      path: PATH,
      layout: 'json',
    },
    faults: [...serverFaults(peer), ...way.faults, revoked],
    healed: 'children and data of every node below the path, in a new session',
    log: () => peer.log(),
    async stop() {
      await way.stop();
      await peer.stop();
    },
  };
};
