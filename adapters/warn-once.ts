// Warnings about single entries of a registry: each is logged once, not at every list, and again only after
// it was mended meanwhile. Bounded: a registry full of nonsense must fill neither log nor memory.
import type { Logger } from '../telemetry/logger.ts';

export interface Warner {
  once(about: string, text: string, facts: object): void;
  /** It is mended; should it come back, that is news. */
  forget(about: string): void;
}

/** @param most entries that are warned of at one time. Default 100. */
export function warner(log: Logger, most = 100): Warner {
  const told = new Set<string>();
  return {
    once(about, text, facts) {
      if (told.has(about) || told.size > most) return;
      told.add(about);
      if (told.size > most) log.warn({ most }, 'more entries cannot be used; no more of them are logged');
      else log.warn(facts, text);
    },
    forget: (about) => void told.delete(about),
  };
}
