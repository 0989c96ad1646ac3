// The control plane's own prober: asks the aggregator whom to ping, and tells it what they answered.
import { runProber } from '../adapters/probe/prober.ts';
import { isOnLoopback } from '../adapters/probe/reach.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { sourceEntry } from './wire-keeping.ts';

/** Runs until `signal` aborts. */
export async function startProber(
  { probe, sources }: Pick<Config, 'probe' | 'sources'>,
  aggregator: Aggregator,
  deps: { readonly clock: Clock; readonly log: Logger; readonly metrics: Metrics },
  signal: AbortSignal,
): Promise<void> {
  if (!probe.enabled) return;
  const { interval: intervalMs, timeout: timeoutMs, concurrency, perSecond, path, networks } = probe;
  const entryOf = sourceEntry(sources);
  const options = {
    suspects: (ofDark: boolean) => aggregator.suspects(ofDark),
    prove: (...said: Parameters<Aggregator['prove']>) => aggregator.prove(...said),
    isLocal: (source: string) => {
      const entry = entryOf(source);
      return entry !== undefined && isOnLoopback(entry);
    },
    settings: { intervalMs, timeoutMs, concurrency, perSecond, path, networks },
    ...deps,
  };
  await runProber(options, signal).catch((thrown: unknown) => {
    deps.log.error({ err: thrown }, 'the prober ended unexpectedly');
  });
}
