// Samples of the control plane's own gauges, and what they tell of leaks.
import { sleep } from '../../lib/clock.ts';
import { GAUGES, readGauges } from './catalogue.ts';
import type { GaugeName } from './catalogue.ts';
import { flatness, lows } from './numbers.ts';
import type { Flatness } from './numbers.ts';

const EVERY_MS = 2_000;
/** Half a minute: several collections. */
const LOWS = 15;

interface Margin {
  /** What the median of the last quarter may be above that of the second: this share, or so much if that is more. */
  readonly share: number;
  readonly fixed: number;
  /** Medians of the smallest of so many samples; 1: of all. */
  readonly lowsOf: number;
}

/**
 * How far the heap swings before it is collected, and with it RSS, is V8's choice, which it changes with the
 * load; what is left after collections is ours. Compiled code adds a few MB over a quarter of an hour.
 */
const MARGINS: Readonly<Record<GaugeName, Margin>> = {
  'RSS, MB': { share: 0.2, fixed: 24, lowsOf: 1 },
  'heap used, MB': { share: 0.1, fixed: 6, lowsOf: LOWS },
  'open files': { share: 0.25, fixed: 10, lowsOf: 1 },
};

export class Memory {
  readonly #samples: Readonly<Record<GaugeName, number>>[] = [];

  /** Until `signal` aborts; a sample that cannot be had is left out (the watcher tells of a dead one). */
  async run(adminUrl: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const sample = await readGauges(adminUrl).catch(() => undefined);
      if (sample) this.#samples.push(sample);
      await sleep(EVERY_MS, signal).catch(() => undefined);
    }
  }

  /** The heap as it was seen is shown, too, and never judged. */
  verdicts(): ReadonlyMap<string, Flatness> {
    const found = new Map<string, Flatness>();
    for (const name of Object.keys(GAUGES) as GaugeName[]) {
      const margin = MARGINS[name];
      const seen = this.#samples.map((sample) => sample[name]);
      const judged = lows(seen, margin.lowsOf);
      if (margin.lowsOf > 1) found.set(`${name}, all of it`, { ...flatness(seen, margin), flat: true });
      found.set(margin.lowsOf > 1 ? `${name}, after collections` : name, flatness(judged, margin));
    }
    return found;
  }
}
