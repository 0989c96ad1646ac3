// Keeps the catalogue in step with the snapshots without ever holding the event loop for long: what is small is
// taken in at once, what is large slice by slice, and clients are told after each slice.
import type { Logger } from '../telemetry/logger.ts';
import { takeTurns } from '../lib/turns.ts';
import { EMPTY_SNAPSHOT } from '../model/snapshot.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import { hasChanges } from './dialect.ts';
import type { Changes } from './dialect.ts';
import type { Catalogue } from './resources/catalogue.ts';

/** Counted, not timed, so that how much is taken in at once does not hang on the machine: some milliseconds. */
const SLICE_WORK = 5_000;

export interface CatchUpOptions {
  readonly catalogue: Catalogue;
  readonly log: Logger;
  readonly onChanges: (changes: Changes) => void;
  /** All that was offered is taken in. */
  readonly onIdle: () => void;
}

export class CatchUp {
  readonly #o: CatchUpOptions;
  readonly #over = new AbortController();
  #running: Promise<void> | undefined;
  /** The last one that was offered, taken in or not. */
  newest: FederationSnapshot = EMPTY_SNAPSHOT;

  constructor(options: CatchUpOptions) {
    this.#o = options;
  }

  /** Takes the first slice at once, and the others in turns of their own. */
  update(snapshot: FederationSnapshot): void {
    this.newest = snapshot;
    this.#o.catalogue.offer(snapshot);
    this.#slice();
    if (this.#o.catalogue.isBehind) this.#running ??= this.#run();
  }

  /** Something is to be done again though nothing new was offered. */
  nudge(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when all that was offered is taken in, or when it ended. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }

  close(): void {
    this.#over.abort(new Error('the xDS server closes'));
  }

  #slice(): void {
    const { catalogue, onChanges, onIdle } = this.#o;
    const changes = catalogue.advance(SLICE_WORK);
    if (hasChanges(changes)) onChanges(changes);
    if (!catalogue.isBehind) onIdle();
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    const turns = takeTurns(signal);
    try {
      while (this.#o.catalogue.isBehind) {
        await turns.next();
        this.#slice();
      }
    } catch (thrown) {
      // The next snapshot tries again.
      if (!signal.aborted) this.#o.log.error({ err: thrown }, 'a snapshot cannot be taken in');
    } finally {
      this.#running = undefined;
    }
  }
}
