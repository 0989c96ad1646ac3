// A hand on a ZooKeeper server: one node an instance, in the layout `json`. Each call has a session of its
// own, since the npm client does not live through everything that tests do to a server.
import { zookeeperHand as session } from '../../contract/fixtures/zookeeper.ts';
import type { ZookeeperHand } from '../../contract/fixtures/zookeeper.ts';
import { idOf, surplus } from './hand.ts';
import type { Hand, Instance } from './hand.ts';
import { fromJsonValue, jsonValue } from './json-values.ts';

/** @param auth USER:PASSWORD, for paths that not everybody may read. */
export function zookeeperHand(port: number, path: string, auth?: string): Hand {
  const nodeOf = (service: string, instance: Instance) => `${path}/${service}/${idOf(instance)}`;
  const within = async <T>(run: (zookeeper: ZookeeperHand) => Promise<T>): Promise<T> => {
    const zookeeper = await session(port, auth);
    try {
      return await run(zookeeper);
    } finally {
      zookeeper.close();
    }
  };
  const list = async (zookeeper: ZookeeperHand, service: string) => {
    const names = await zookeeper.children(`${path}/${service}`);
    const texts = await Promise.all(names.map((name) => zookeeper.get(`${path}/${service}/${name}`)));
    return texts.map(fromJsonValue);
  };
  return {
    set: (service, instances) =>
      within(async (zookeeper) => {
        for (const instance of instances) {
          await zookeeper.put(nodeOf(service, instance), jsonValue(instance));
        }
        if (!(await zookeeper.exists(`${path}/${service}`))) return;
        for (const gone of surplus(await list(zookeeper, service), instances)) {
          await zookeeper.delete(nodeOf(service, gone));
        }
      }),
    ask: () =>
      within(async (zookeeper) => {
        const services = await zookeeper.children(path);
        return new Map(
          await Promise.all(services.map(async (name) => [name, await list(zookeeper, name)] as const)),
        );
      }),
    close: async () => undefined,
  };
}
