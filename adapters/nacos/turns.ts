// Which services to ask next. A service whose counts in the list moved is asked at once; what the counts do
// not show (weight, metadata, `enabled`) is found because each service is asked in turn, so slowly that all
// of them together cost one question each in `refreshMs`. Asks nobody.
import type { Listed } from './client.ts';

interface Turn {
  listed: Listed;
  /** Its counts when it was asked last; undefined: it must be asked. */
  asked: string | undefined;
}

export class Turns {
  /** The one that waits longest first. */
  readonly #turns = new Map<string, Turn>();
  readonly #refreshMs: number;
  #credit = 0;

  constructor(refreshMs: number) {
    this.#refreshMs = refreshMs;
  }

  /** The newest list. Returns what is no longer in it. */
  list(services: readonly Listed[]): Listed[] {
    const now = new Set(services.map(({ key }) => key));
    const gone = [...this.#turns.values()].filter(({ listed }) => !now.has(listed.key));
    for (const { listed } of gone) this.#turns.delete(listed.key);
    for (const listed of services) {
      const turn = this.#turns.get(listed.key);
      if (turn) turn.listed = listed;
      else this.#turns.set(listed.key, { listed, asked: undefined });
    }
    return gone.map(({ listed }) => listed);
  }

  /** @param elapsedMs since the last call. */
  due(elapsedMs: number): Listed[] {
    const turns = [...this.#turns.values()];
    const size = turns.length;
    this.#credit = Math.min(size, this.#credit + (size * elapsedMs) / this.#refreshMs);
    const slow = new Set(turns.slice(0, Math.floor(this.#credit)));
    this.#credit -= slow.size;
    return turns
      .filter((turn) => turn.asked !== turn.listed.counts || slow.has(turn))
      .map(({ listed }) => listed);
  }

  /** It was asked; the end of the queue is its place now. */
  answered(service: Listed): void {
    if (!this.#turns.delete(service.key)) return;
    this.#turns.set(service.key, { listed: service, asked: service.counts });
  }

  /** Its answer was of no use: it is asked again after the next list. */
  again(service: Listed): void {
    const turn = this.#turns.get(service.key);
    if (turn) turn.asked = undefined;
  }
}
