// A Eureka cluster as a source (README.md). This file only puts the parts together.
import type { EurekaSource } from '../../config/schema.ts';
import type { Discoverer } from '../../model/discovery.ts';
import { serviceFilter } from '../filter.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { warner } from '../warn-once.ts';
import { createEurekaClient } from './client.ts';
import type { Cursor, EurekaLimits } from './client.ts';
import { watchEureka } from './watch.ts';
import type { EurekaContext } from './watch.ts';

export interface EurekaTimings extends SourceTimings, Partial<EurekaLimits> {
  /** Default: the source's `pollSeconds`. */
  readonly pollMs?: number;
}

export function createEurekaSource(
  config: EurekaSource,
  deps: SourceDeps,
  timings: EurekaTimings = {},
): Discoverer {
  const {
    pollMs = config.pollSeconds * 1_000,
    answerMs = 5_000,
    listMs = 50_000,
    maxBytes = 256 * 1_024 * 1_024,
    silentMs = Math.max(15_000, pollMs + 2 * answerMs),
    ...supervised
  } = timings;
  const { locality, network, serviceNamespace, include } = config;
  const context: EurekaContext = {
    urls: config.urls,
    copy: { locality, network, serviceNamespace, included: serviceFilter(include.services) },
    pollMs,
    clock: deps.clock,
    warn: warner(deps.log.child({ source: config.name, kind: config.kind })),
    onBad: (count) => deps.metrics.source.badEntries.set({ source: config.name }, count),
    known: undefined,
    notice: '',
    leases: '',
  };
  const cursor: Cursor = { at: 0 };
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    timings: supervised,
    notice: () => [context.notice, context.leases].filter((text) => text !== '').join('; '),
    open() {
      const limits = { answerMs, listMs, maxBytes, silentMs };
      const client = createEurekaClient(config, limits, cursor, deps.clock);
      return {
        watch: (emit, signal) => watchEureka(context, client, emit, signal),
        probe: async () => client.probe(),
        close: () => client.close(),
      };
    },
  });
}
