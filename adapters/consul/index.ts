// A Consul datacenter as a source (README.md). This file only puts the parts together.
import type { ConsulSource } from '../../config/schema.ts';
import type { Discoverer } from '../../model/discovery.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { consulLibrary, createConsulClient } from './client.ts';
import { watchConsul } from './watch.ts';
import type { ConsulContext, ConsulLimits } from './watch.ts';

export type ConsulTimings = SourceTimings & Partial<ConsulLimits>;

/** @throws ISTHMUS_CLIENT_MISSING when the npm package `consul` is not installed. */
export async function createConsulSource(
  config: ConsulSource,
  deps: SourceDeps,
  timings: ConsulTimings = {},
): Promise<Discoverer> {
  const Consul = await consulLibrary();
  const {
    waitMs = 55_000,
    answerMs = 10_000,
    minIntervalMs = 500,
    maxWatches = 64,
    roundMs = 5_000,
    ...supervised
  } = timings;
  const context: ConsulContext = {
    config,
    limits: { waitMs, answerMs, minIntervalMs, maxWatches, roundMs },
    clock: deps.clock,
    log: deps.log.child({ source: config.name, kind: config.kind }),
    warned: new Set(),
  };
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    timings: supervised,
    open() {
      const client = createConsulClient(Consul, config);
      return {
        watch: (emit, signal) => watchConsul(context, client, emit, signal),
        probe: (signal) => client.leader({ signal, deadlineMs: answerMs }),
        close: () => client.close(),
      };
    },
  });
}
