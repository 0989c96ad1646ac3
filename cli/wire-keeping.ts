// From the config's words to the aggregator's: how each source's endpoints are kept.
import { DEFAULT_KEEPING } from '../aggregator/keeper/settings.ts';
import type { KeeperSettings } from '../aggregator/keeper/settings.ts';
import type { Keeping } from '../config/keeping.ts';
import type { SourceConfig } from '../config/schema.ts';

/** By source name. What stands for several sources speaks for each of them, as their names begin with its own. */
export function keepingBySource(sources: readonly SourceConfig[]): (source: string) => KeeperSettings {
  return (name) => {
    const own = sources.find((source) => source.name === name);
    const entry = own ?? sources.find((source) => name.startsWith(`${source.name}-`));
    return entry ? settingsFrom(entry) : DEFAULT_KEEPING;
  };
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
