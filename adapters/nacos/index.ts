// A Nacos namespace as a source (README.md). This file only puts the parts together.
import type { NacosSource } from '../../config/schema.ts';
import type { Discoverer } from '../../model/discovery.ts';
import { serviceFilter } from '../filter.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { warner } from '../warn-once.ts';
import { createNacosClient } from './client.ts';
import type { Memory, NacosLimits } from './client.ts';
import { watchNacos } from './watch.ts';
import type { NacosContext } from './watch.ts';

export interface NacosTimings extends SourceTimings, Partial<NacosLimits> {
  /** Defaults: the source's `pollSeconds` and `refreshSeconds`. */
  readonly pollMs?: number;
  readonly refreshMs?: number;
}

export function createNacosSource(
  config: NacosSource,
  deps: SourceDeps,
  timings: NacosTimings = {},
): Discoverer {
  const {
    pollMs = config.pollSeconds * 1_000,
    refreshMs = config.refreshSeconds * 1_000,
    answerMs = 5_000,
    maxBytes = 64 * 1_024 * 1_024,
    pageSize = 500,
    silentMs = Math.max(15_000, pollMs + 2 * answerMs),
    ...supervised
  } = timings;
  const { locality, network, serviceNamespace, include, groups, clusters } = config;
  const log = deps.log.child({ source: config.name, kind: config.kind });
  const context: NacosContext = {
    map: { locality, network, serviceNamespace, inCluster: oneOf(clusters) },
    inGroup: oneOf(groups),
    included: serviceFilter(include.services),
    pollMs,
    refreshMs,
    clock: deps.clock,
    warn: warner(log),
    onBad: (count) => deps.metrics.source.badEntries.set({ source: config.name }, count),
    good: new Map(),
  };
  const memory: Memory = { at: 0, dialects: new Map(), clusters: new Map() };
  const client = () =>
    createNacosClient(config, { answerMs, maxBytes, pageSize, silentMs }, memory, {
      clock: deps.clock,
      onDialect: (url, api) => log.info({ url, api }, 'Nacos speaks this API'),
    });
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    timings: supervised,
    open() {
      const nacos = client();
      return {
        watch: (emit, signal) => watchNacos(context, nacos, emit, signal),
        probe: async () => nacos.probe(),
        close: () => nacos.close(),
      };
    },
  });
}

/** None named: any. */
function oneOf(names: readonly string[]): (name: string) => boolean {
  return (name) => names.length === 0 || names.includes(name);
}
