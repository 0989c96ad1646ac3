// Tells a registry of the endpoints that registered with sidecars, for callers outside: which of them, by one replica,
// again and again. What the registry lists by itself, what is drained or quarantined, is not written.
import { isRefused } from '../adapters/registrar-http.ts';
import type { Registrar } from '../adapters/registrar.ts';
import { openRegistrar } from '../adapters/registry.ts';
import type { WritableSource } from '../adapters/registry.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import type { Config, SidecarSource } from '../config/schema.ts';
import { sleep } from '../lib/clock.ts';
import type { Clock } from '../lib/clock.ts';
import { IsthmusError, describeError } from '../lib/errors.ts';
import type { Health } from '../model/endpoint.ts';
import { mergeShards } from '../model/merge.ts';
import type { MergedEndpoint } from '../model/merge/types.ts';
import { splitServiceName } from '../model/names.ts';
import type { Written } from '../model/sidecars.ts';
import type { ServiceShards } from '../model/snapshot.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Between two beats; what was written runs out after 30 s at the earliest. */
const BEAT_MS = 8_000;
/** After a change, and between two looks. */
const SOON_MS = 500;

export interface WriteThrough {
  /** @param elsewhere '' when this replica writes. */
  setLeader(elsewhere: string): void;
  /** Until `signal` aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

interface Target {
  readonly from: SidecarSource;
  readonly to: WritableSource;
}

/**
 * The marks of what is written. No source reads that back, also not one that sees the same registry under another name:
 * through another agent, another server, or whoever copies from one registry to the next.
 */
export const writtenMarks = (config: Config): ReadonlySet<string> =>
  new Set(targetsOf(config).map(({ from }) => from.owner));

function targetsOf({ sources }: Config): readonly Target[] {
  return sources.flatMap((from) => {
    if (from.kind !== 'sidecar') return [];
    return sources.flatMap((to) =>
      (to.kind === 'consul' || to.kind === 'eureka') && from.writeTo.includes(to.name) ? [{ from, to }] : [],
    );
  });
}

export function writeThrough(
  config: Config,
  deps: { readonly aggregator: Aggregator; readonly clock: Clock; readonly log: Logger },
): WriteThrough {
  const writers = targetsOf(config).map((target) => new Writer(target, deps));
  return {
    setLeader(elsewhere) {
      for (const writer of writers) writer.setLeader(elsewhere);
    },
    async run(signal) {
      await Promise.all(writers.map((writer) => writer.run(signal)));
    },
  };
}

class Writer {
  readonly #target: Target;
  readonly #deps: Parameters<typeof writeThrough>[1];
  #isLeader = false;
  #hasTakenOver = false;
  #last = '';

  constructor(target: Target, deps: Parameters<typeof writeThrough>[1]) {
    this.#target = target;
    this.#deps = deps;
  }

  setLeader(elsewhere: string): void {
    // Without NATS nobody takes over: who wrote goes on, so that nothing vanishes.
    if (elsewhere.startsWith('nobody')) return;
    this.#isLeader = elsewhere === '';
    // It is told once for each lease that was won, and somebody else may have written in between.
    this.#hasTakenOver = this.#isLeader;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { aggregator, clock, log } = this.#deps;
    const { from, to } = this.#target;
    const facts = { source: from.name, into: to.name };
    let registrar: Registrar | undefined;
    let changed = true;
    const unsubscribe = aggregator.subscribe(() => {
      changed = true;
    });
    let beatAt = -Infinity;
    while (!signal.aborted) {
      if (this.#isLeader && (changed || clock.monotonic() - beatAt >= BEAT_MS)) {
        changed = false;
        beatAt = clock.monotonic();
        try {
          registrar ??= await openRegistrar(to, from.owner, clock);
          if (this.#hasTakenOver) registrar.lead();
          this.#hasTakenOver = false;
          const isOurs = await registrar.write(this.#wanted(), signal);
          this.#tell(isOurs ? '' : 'another control plane writes with the same owner');
        } catch (thrown) {
          if (!signal.aborted) this.#tell(describeError(thrown), sortOf(thrown));
        }
      }
      await sleep(SOON_MS, signal, clock).catch(() => undefined);
    }
    unsubscribe();
    registrar?.close();
    log.debug(facts, 'writes no more');
  }

  /** The same fault at every beat is no news. @param sort what makes it the same. */
  #tell(cause: string, sort = cause): void {
    const facts = { source: this.#target.from.name, into: this.#target.to.name };
    if (sort === this.#last) return;
    if (cause === '') this.#deps.log.info(facts, 'sidecars are written into the registry');
    else this.#deps.log.warn({ ...facts, cause }, 'sidecars are not written into the registry');
    this.#last = sort;
  }

  #wanted(): readonly Written[] {
    const { from, to } = this.#target;
    return [...this.#deps.aggregator.current.services.values()].flatMap((slice) => {
      const { name, namespace } = splitServiceName(slice.service);
      if (namespace !== to.serviceNamespace || !slice.shards.has(from.name)) return [];
      return endpointsOf(slice)
        .filter(({ sources, health, verdict }) => {
          const isOnlyHere = sources.includes(from.name) && !sources.includes(to.name);
          return isOnlyHere && health !== 'draining' && !verdict.doubted && !verdict.quarantined;
        })
        .map(({ address, port, weight, labels, health }) => {
          return {
            name,
            address,
            port,
            weight: Math.max(1, Math.round(weight)),
            labels,
            status: STATUS[health],
          };
        });
    });
  }
}

/** Which of many questions failed, and whether by silence or by a closed port, differs from beat to beat. */
function sortOf(thrown: unknown): string {
  if (isRefused(thrown)) return thrown.cause.message;
  return thrown instanceof IsthmusError ? thrown.code : describeError(thrown);
}

function endpointsOf(slice: ServiceShards): readonly MergedEndpoint[] {
  const merged = mergeShards(slice);
  const primary = [merged, ...merged.pinned].flatMap(({ ports, primaryPort }) =>
    ports.filter(({ name }) => name === primaryPort),
  );
  const endpoints = primary.flatMap((port) => port.endpoints);
  // A service that is pinned, too, has each of them twice.
  return [...new Map(endpoints.map((one) => [`${one.address} ${one.port}`, one])).values()];
}

const STATUS: Readonly<Record<Health, Written['status']>> = {
  healthy: 'passing',
  unknown: 'passing',
  degraded: 'warning',
  unhealthy: 'critical',
  draining: 'critical',
};
