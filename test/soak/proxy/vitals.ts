// Memory, open files and promptness of a process under test, sampled from outside, and whether they are flat.
import { readFile, readdir } from 'node:fs/promises';
import { sleep } from '../../../lib/clock.ts';
import { flatness, lows } from '../numbers.ts';
import type { Flatness } from '../numbers.ts';

const EVERY_MS = 1_000;
/** What V8 keeps swings between collections; half a minute has several. */
const LOWS = 15;

interface Sample {
  readonly rssMb: number;
  readonly files: number;
  readonly lateMs: number | undefined;
}

export class Vitals {
  readonly #pid: number;
  readonly #promptness: (() => Promise<void>) | undefined;
  readonly #samples: Sample[] = [];

  /** @param promptness something that its event loop must answer; undefined: not asked. */
  constructor(pid: number, promptness?: () => Promise<void>) {
    this.#pid = pid;
    this.#promptness = promptness;
  }

  /** Until `signal` aborts. A process that has gone gives no samples; that it is gone is told elsewhere. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const sample = await this.#sample().catch(() => undefined);
      if (sample) this.#samples.push(sample);
      await sleep(EVERY_MS, signal).catch(() => undefined);
    }
  }

  verdicts(): ReadonlyMap<string, Flatness> {
    const rss = lows(
      this.#samples.map(({ rssMb }) => rssMb),
      LOWS,
    );
    const files = this.#samples.map(({ files: count }) => count);
    const late = this.#samples.flatMap(({ lateMs }) => (lateMs === undefined ? [] : [lateMs]));
    const found = new Map([
      ['RSS, MB', flatness(rss, { share: 0.1, fixed: 12 })],
      ['open files', flatness(files, { share: 0.25, fixed: 20 })],
    ]);
    // On a machine that does other things, too, the median tells of the process and the rest of the machine.
    if (late.length > 0) found.set('admin answers, ms', flatness(late, { share: 1, fixed: 20 }));
    return found;
  }

  async #sample(): Promise<Sample> {
    const status = await readFile(`/proc/${this.#pid}/status`, 'utf8');
    const files = await readdir(`/proc/${this.#pid}/fd`);
    const from = performance.now();
    await this.#promptness?.();
    return {
      rssMb: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024,
      files: files.length,
      lateMs: this.#promptness ? performance.now() - from : undefined,
    };
  }
}
