// From the config's words to the aggregator's: how each source's endpoints are kept.
import { DEFAULT_KEEPING } from '../aggregator/keeper/settings.ts';
import type { KeeperSettings } from '../aggregator/keeper/settings.ts';
import type { Keeping } from '../config/keeping.ts';
import type { SourceConfig } from '../config/schema.ts';

/** By source name. What stands for several sources speaks for each of them, as their names begin with its own. */
export function keepingBySource(
  sources: readonly SourceConfig[],
  isRetired: (source: string, service: string) => boolean,
): (source: string) => KeeperSettings {
  const entryOf = sourceEntry(sources);
  return (name) => {
    const entry = entryOf(name);
    const keeping = entry ? settingsFrom(entry) : DEFAULT_KEEPING;
    return { ...keeping, isRetired: (service) => isRetired(name, service) };
  };
}

/** The entry of the config that speaks for a source. */
export function sourceEntry(sources: readonly SourceConfig[]): (source: string) => SourceConfig | undefined {
  return (name) =>
    sources.find((source) => source.name === name) ??
    sources.find((source) => name.startsWith(`${source.name}-`));
}

function settingsFrom({ onLost, onHoldEnd, holdFor, guard, damping, warmUp, fall }: Keeping): KeeperSettings {
  return {
    onLost,
    onHoldEnd,
    holdForMs: holdFor,
    guard: {
      maxRemovalRatio: guard.maxRemovalRatio,
      windowMs: guard.window,
      confirmAfterMs: guard.confirmAfter,
      minEndpoints: guard.minEndpoints,
      shadow: guard.shadow,
    },
    damping: {
      enabled: damping.enabled,
      halfLifeMs: damping.halfLife,
      suppress: damping.suppress,
      reuse: damping.reuse,
      shadow: damping.shadow,
    },
    warmUpMs: warmUp,
    fall,
  };
}
