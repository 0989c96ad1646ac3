// A prefix of an etcd cluster as a source (README.md). This file only puts the parts together.
import type { EtcdSource } from '../../config/schema.ts';
import type { Discoverer } from '../../model/discovery.ts';
import { serviceFilter } from '../filter.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { warner } from '../warn-once.ts';
import { connectEtcd, etcdLibrary } from './client.ts';
import { layoutOf } from './layouts.ts';
import { watchEtcd } from './watch.ts';
import type { EtcdContext } from './watch.ts';

export interface EtcdTimings extends SourceTimings {
  /** A call that is not answered by then is a fault. Default 10,000 ms. */
  readonly answerMs?: number;
  /** Keys per page of a list. Default 500. */
  readonly pageSize?: number;
}

/** @throws ISTHMUS_CLIENT_MISSING when the npm package `etcd3` is not installed. */
export async function createEtcdSource(
  config: EtcdSource,
  deps: SourceDeps,
  timings: EtcdTimings = {},
): Promise<Discoverer> {
  const library = await etcdLibrary();
  const { answerMs = 10_000, pageSize = 500, ...supervised } = timings;
  const { locality, network, serviceNamespace, include } = config;
  const prefix = config.prefix === '' || config.prefix.endsWith('/') ? config.prefix : `${config.prefix}/`;
  const log = deps.log.child({ source: config.name, kind: config.kind });
  const context: EtcdContext = {
    config,
    prefix,
    layout: layoutOf(config.layout, prefix),
    instances: { locality, network, serviceNamespace, included: serviceFilter(include.services) },
    pageSize,
    clock: deps.clock,
    log,
    onBad: (count) => deps.metrics.source.badEntries.set({ source: config.name }, count),
    warn: warner(log),
    known: undefined,
  };
  let tries = 0;
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    timings: supervised,
    notice: () => context.known?.notice ?? '',
    async open() {
      // Each try asks the next member: one that is cut off or frozen must not be asked twice in a row.
      const endpoint = config.endpoints[tries % config.endpoints.length] ?? '';
      tries += 1;
      const client = await connectEtcd(library, { config, endpoint, prefix, answerMs });
      return {
        watch: (emit, signal) => watchEtcd(context, client, emit, signal),
        probe: () => client.probe(),
        close: () => client.close(),
      };
    },
  });
}
