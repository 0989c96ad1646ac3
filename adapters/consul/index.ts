// A Consul datacenter as a source (README.md). This file only puts the parts together.
import type { ConsulSource } from '../../config/schema.ts';
import { Hold } from '../../lib/retry-after.ts';
import type { Discoverer } from '../../model/discovery.ts';
import { Seats } from '../seats.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { readAccess } from './access.ts';
import { createConsulClient } from './client.ts';
import type { ConsulContext, ConsulLimits } from './context.ts';
import { consulLibrary } from './npm.ts';
import { watchConsul } from './watch.ts';

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
    maxWatches = config.maxWatches,
    roundMs = 1_000,
    ...supervised
  } = timings;
  const context: ConsulContext = {
    config,
    limits: { waitMs, answerMs, minIntervalMs, maxWatches, roundMs },
    clock: deps.clock,
    seats: deps.seats ?? new Seats(),
    log: deps.log.child({ source: config.name, kind: config.kind }),
    warned: new Set(),
  };
  const hold = new Hold(deps.clock);
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    timings: supervised,
    async open() {
      const client = createConsulClient(Consul, config, await readAccess(config), deps.clock, hold);
      return {
        watch: (emit, signal) => watchConsul(context, client, emit, signal),
        probe: (signal) => client.leader({ signal, deadlineMs: answerMs }),
        close: () => client.close(),
      };
    },
  });
}
