// Looks at the catalogue all the time: tells when a source is equal to its registry, and notes everything
// that is wrong at any moment. One look at a time, so that what was settled by one is not judged by an older.
import { sleep } from '../../lib/clock.ts';
import { readCatalogue } from './catalogue.ts';
import type { Catalogue } from './catalogue.ts';
import type { Truth } from './truth.ts';

const EVERY_MS = 100;
/** A busy machine may answer late once; a control plane that is gone never answers. */
const FAILURES_IN_A_ROW = 3;

interface Waiter {
  readonly source: string;
  readonly since: number;
  readonly until: number;
  done(equalAt: number): void;
  failed(why: Error): void;
}

export class Watcher {
  /** Sources that were seen not live since forget(). */
  readonly #dark = new Set<string>();
  readonly #wrong = new Set<string>();
  readonly #waiters = new Set<Waiter>();
  readonly #adminUrl: string;
  readonly #truths: ReadonlyMap<string, Truth>;
  readonly #violated: (text: string) => void;
  looks = 0;

  constructor(adminUrl: string, truths: ReadonlyMap<string, Truth>, violated: (text: string) => void) {
    this.#adminUrl = adminUrl;
    this.#truths = truths;
    this.#violated = violated;
  }

  /** Until `signal` aborts. Rejects when the control plane does not answer. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = performance.now();
      try {
        this.#judge(await readCatalogue(this.#adminUrl), startedAt);
        failures = 0;
      } catch (thrown) {
        failures += 1;
        if (failures >= FAILURES_IN_A_ROW) throw thrown;
      }
      await sleep(EVERY_MS, signal).catch(() => undefined);
    }
  }

  wasDark(source: string): boolean {
    return this.#dark.has(source);
  }

  forget(source: string): void {
    this.#dark.delete(source);
  }

  /**
   * Resolves when the source is live and the catalogue has exactly its truth, seen by a look that began after
   * this call: with the time of that look's end. Rejects when `withinMs` are over.
   */
  untilEqual(source: string, withinMs: number, signal: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      const since = performance.now();
      const onAbort = () => settle(() => reject(signal.reason as Error));
      const settle = (how: () => void) => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
        how();
      };
      const waiter: Waiter = {
        source,
        since,
        until: since + withinMs,
        done: (equalAt) => settle(() => resolve(equalAt)),
        failed: (why) => settle(() => reject(why)),
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  #judge(catalogue: Catalogue, startedAt: number): void {
    this.looks += 1;
    const at = performance.now();
    for (const [source, truth] of this.#truths) {
      const seen = catalogue.held.get(source) ?? new Map<string, string>();
      if (!catalogue.live.has(source)) this.#dark.add(source);
      this.#note(source, truth.wrongs(seen));
    }
    for (const waiter of this.#waiters) {
      if (startedAt < waiter.since) continue;
      const { source } = waiter;
      const truth = this.#truths.get(source);
      const missing = catalogue.live.has(source)
        ? (truth?.differences(catalogue.held.get(source) ?? new Map()) ?? [])
        : [`it is not live: ${catalogue.causes.get(source) ?? ''}`];
      if (missing.length === 0) {
        truth?.settle();
        waiter.done(at);
      } else if (at > waiter.until) waiter.failed(new Error(missing.slice(0, 5).join('; ')));
    }
  }

  /** Each wrong once, until it is over. */
  #note(source: string, wrongs: readonly string[]): void {
    const now = new Set(wrongs.map((text) => `${source}: ${text}`));
    for (const text of now) {
      if (this.#wrong.has(text)) continue;
      this.#wrong.add(text);
      this.#violated(text);
    }
    for (const text of this.#wrong) {
      if (text.startsWith(`${source}: `) && !now.has(text)) this.#wrong.delete(text);
    }
  }
}
