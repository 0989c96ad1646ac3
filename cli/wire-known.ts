// The last known good at start, and its upkeep: which files belong to which sources of the config.
import { join } from 'node:path';
import type { Aggregator } from '../aggregator/aggregator.ts';
import { keepLastKnownGood } from '../aggregator/lkg/keep.ts';
import { knownSources, loadLastKnownGood } from '../aggregator/lkg/load.ts';
import type { Config, SourceConfig } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface KnownDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/**
 * Gives the aggregator what its sources were known to say, held and with its age; before any is attached.
 * @param isTemplate true for an entry that stands for sources NAME-…, which are not known before it answers.
 * @returns names of the sources restored, by entry of the config.
 */
export async function restoreLastKnownGood(
  config: Config,
  aggregator: Aggregator,
  { clock, log }: KnownDeps,
  isTemplate: (source: SourceConfig) => boolean,
  signal: AbortSignal,
): Promise<ReadonlyMap<SourceConfig, readonly string[]>> {
  const restored = new Map<SourceConfig, string[]>();
  if (config.dataDir === '') return restored;
  const folder = sourcesIn(config.dataDir);
  const files = await knownSources(folder);
  for (const source of config.sources.filter(({ onLost }) => onLost !== 'drop')) {
    const isOf = (name: string) =>
      isTemplate(source) ? name.startsWith(`${source.name}-`) : name === source.name;
    for (const name of files.filter(isOf)) {
      const options = { folder, clock, log, maxAgeMs: config.lastKnownGood.maxAge };
      const known = await loadLastKnownGood(name, source.kind, options);
      if (!known) continue;
      await aggregator.restore(known, signal);
      restored.set(source, [...(restored.get(source) ?? []), name]);
      const seconds = Math.max(0, Math.round((clock.now() - known.writtenAt) / 1_000));
      log.info(
        { source: name, services: known.shards.length, seconds },
        'last known good is served until it answers',
      );
    }
  }
  return restored;
}

/** Follows the snapshots; the returned function writes what is left, and ends. */
export function followLastKnownGood(
  config: Config,
  aggregator: Aggregator,
  deps: KnownDeps,
): () => Promise<void> {
  if (config.dataDir === '') return () => Promise.resolve();
  const known = keepLastKnownGood({
    ...deps,
    folder: sourcesIn(config.dataDir),
    everyMs: config.lastKnownGood.writeEvery,
  });
  const forget = aggregator.subscribe((snapshot) => known.update(snapshot));
  return async () => {
    aggregator.flush();
    forget();
    await known.close();
  };
}

const sourcesIn = (dataDir: string): string => join(dataDir, 'sources');
