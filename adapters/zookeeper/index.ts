// A path of a ZooKeeper ensemble as a source (README.md). This file only puts the parts together.
import type { ZookeeperSource } from '../../config/schema.ts';
import type { Discoverer } from '../../model/discovery.ts';
import { serviceFilter } from '../filter.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { warner } from '../warn-once.ts';
import { connectZookeeper, zookeeperLibrary } from './client.ts';
import { ZOOKEEPER_PATH } from './errors.ts';
import { layoutOf } from './layouts.ts';
import { parseServers, rootOf } from './servers.ts';
import { watchZookeeper } from './watch.ts';
import type { ZookeeperContext } from './watch.ts';

export interface ZookeeperTimings extends SourceTimings {
  /** A question that is not answered by then is a fault. Default 10,000 ms. */
  readonly answerMs?: number;
  /** Asked for. Default 15,000 ms. */
  readonly sessionMs?: number;
  /** Questions at a time. Default 64. */
  readonly atOnce?: number;
}

/** @throws ISTHMUS_CLIENT_MISSING when the npm package `node-zookeeper-client` is not installed. */
export async function createZookeeperSource(
  config: ZookeeperSource,
  deps: SourceDeps,
  timings: ZookeeperTimings = {},
): Promise<Discoverer> {
  const library = await zookeeperLibrary();
  const { answerMs = 10_000, sessionMs = 15_000, atOnce = 64, ...supervised } = timings;
  const { locality, network, serviceNamespace, include, auth } = config;
  const { servers, chroot } = parseServers(config.servers);
  const root = rootOf(chroot, config.path);
  const layout = layoutOf(config.layout);
  const { clock } = deps;
  const context: ZookeeperContext = {
    config,
    root,
    layout,
    instances: {
      locality,
      network,
      serviceNamespace,
      included: serviceFilter(include.services),
      relativeWeights: layout.relativeWeights,
    },
    atOnce,
    clock,
    onBad: (count) => deps.metrics.source.badEntries.set({ source: config.name }, count),
    warn: warner(deps.log.child({ source: config.name, kind: config.kind })),
    known: undefined,
  };
  let tries = 0;
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    timings: supervised,
    notice: () => context.known?.notice ?? '',
    open() {
      // Each try has a session with the next server: one that is frozen must not be asked twice in a row.
      const server = servers[tries % servers.length] ?? { host: '127.0.0.1', port: 2181 };
      tries += 1;
      const client = connectZookeeper(library, { server, auth, sessionMs, answerMs, clock });
      const path = root === '' ? '/' : root;
      return {
        watch: (emit, signal) => watchZookeeper(context, client, emit, signal),
        // The data of the root: its ACL is asked too, so that a right taken away is noticed.
        async probe() {
          const data = await client.data(path);
          if (data === undefined) throw ZOOKEEPER_PATH(client.server, path, '/', 'no such node any more');
        },
        close: () => client.close(),
      };
    },
  });
}
