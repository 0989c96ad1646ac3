// Samples of the control plane's own gauges, and what they tell of leaks.
import { sleep } from '../../lib/clock.ts';
import { GAUGES, readGauges } from './catalogue.ts';
import type { GaugeName } from './catalogue.ts';
import { flatness } from './numbers.ts';
import type { Flatness } from './numbers.ts';

const EVERY_MS = 2_000;

/** What the median of the last quarter may be above that of the second: this share, or so much if that is more. */
const MARGINS: Readonly<Record<GaugeName, { readonly share: number; readonly fixed: number }>> = {
  'RSS, MB': { share: 0.1, fixed: 12 },
  'heap used, MB': { share: 0.1, fixed: 6 },
  'open files': { share: 0.25, fixed: 10 },
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

  verdicts(): ReadonlyMap<GaugeName, Flatness> {
    const names = Object.keys(GAUGES) as GaugeName[];
    return new Map(
      names.map((name) => [
        name,
        flatness(
          this.#samples.map((sample) => sample[name]),
          MARGINS[name],
        ),
      ]),
    );
  }
}
