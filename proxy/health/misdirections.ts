// Who answered in another name than it was asked in, until the control plane has heard of it. A host that goes on
// doing so is told of again from time to time, never for every request.
import type { Clock } from '../../lib/clock.ts';

export interface Misdirection {
  /** As xDS names it. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  /** In whose name it answered; '' when it named nobody. */
  readonly name: string;
}

/** From one telling to the next. */
const AGAIN_MS = 5_000;
/** So many at once; what is more is seen again. */
const MOST = 1_000;

export class Misdirections {
  readonly #clock: Clock;
  readonly #untold = new Map<string, Misdirection>();
  /** Monotonic ms. */
  readonly #toldAt = new Map<string, number>();
  onNews: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param host `ADDRESS:PORT`, an IPv6 address in brackets. */
  note(cluster: string, host: string, name: string): void {
    const key = `${cluster} ${host} ${name}`;
    const toldAt = this.#toldAt.get(key) ?? -Infinity;
    if (this.#untold.has(key) || this.#untold.size >= MOST) return;
    if (this.#clock.monotonic() - toldAt < AGAIN_MS) return;
    const at = host.lastIndexOf(':');
    const address = host.slice(0, at).replace(/^\[|\]$/g, '');
    this.#untold.set(key, { cluster, address, port: Number(host.slice(at + 1)), name });
    this.onNews();
  }

  get untold(): ReadonlyMap<string, Misdirection> {
    return this.#untold;
  }

  /** The control plane has heard of these. */
  told(keys: Iterable<string>): void {
    const now = this.#clock.monotonic();
    for (const [key, at] of this.#toldAt) if (now - at >= AGAIN_MS) this.#toldAt.delete(key);
    for (const key of keys) if (this.#untold.delete(key)) this.#toldAt.set(key, now);
  }
}
