// Who may begin: new streams are let in while the bytes under way to those that have just come stay within a
// budget; the rest wait in line for a while and are then sent away, before any response, so that gRPC clients
// back off (gRFC A57). Counts bytes, not streams: a thousand clients that see little cost less than ten that
// see everything.
import type { Clock } from '../../lib/clock.ts';
import type { FlowLimits } from './limits.ts';

interface Waiting {
  readonly enter: () => void;
  readonly refuse: () => void;
  readonly until: number;
}

/** What a first response is taken for before one was seen. */
const FIRST_GUESS = 64 * 1024;

export class Admission {
  readonly #limits: Pick<FlowLimits, 'startingBytes' | 'admissionWaitMs'>;
  readonly #clock: Clock;
  readonly #line = new Set<Waiting>();
  /** Those that are let in already and may only not be answered yet: never sent away, and first. */
  readonly #patient = new Set<() => void>();
  #typical = FIRST_GUESS;
  #reserved = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(limits: Pick<FlowLimits, 'startingBytes' | 'admissionWaitMs'>, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#line.size + this.#patient.size;
  }

  /**
   * Calls one of the two, `enter` at once when there is room. The returned function takes it out of the line:
   * the client has gone.
   */
  ask(enter: () => void, refuse: () => void): () => void {
    const now = this.#clock.monotonic();
    const waiting: Waiting = { enter, refuse, until: now + this.#limits.admissionWaitMs };
    this.#line.add(waiting);
    this.#admit();
    this.#watch(now);
    return () => void this.#line.delete(waiting);
  }

  /**
   * The same for one that waits as long as it takes: it came while nobody was answered, and would only come again.
   */
  askPatiently(enter: () => void): () => void {
    this.#patient.add(enter);
    this.#admit();
    return () => void this.#patient.delete(enter);
  }

  /**
   * One that was let in needs its share no longer: it took its first message, or it is gone.
   * @param share as reserve() gave it. @param firstBytes of that message; 0 when there was none.
   */
  settled(share: number, firstBytes: number): void {
    this.#reserved -= share;
    if (firstBytes > 0) this.#typical += (firstBytes - this.#typical) / 8;
    this.#admit();
  }

  /** Takes a share of the budget, of the size of a typical first response. */
  reserve(): number {
    this.#reserved += this.#typical;
    return this.#typical;
  }

  close(): void {
    this.#cancelTimer?.();
    for (const { refuse } of this.#line) refuse();
    this.#line.clear();
    this.#patient.clear();
  }

  /** There is always room for one, however large. */
  #admit(): void {
    for (const enter of this.#patient) {
      if (!this.#hasRoom()) return;
      this.#patient.delete(enter);
      enter();
    }
    for (const waiting of this.#line) {
      if (!this.#hasRoom()) return;
      this.#line.delete(waiting);
      waiting.enter();
    }
  }

  #hasRoom(): boolean {
    return this.#reserved === 0 || this.#reserved + this.#typical <= this.#limits.startingBytes;
  }

  #watch(now: number): void {
    const [first] = this.#line;
    if (!first || this.#cancelTimer) return;
    this.#cancelTimer = this.#clock.after(Math.max(0, first.until - now), () => {
      this.#cancelTimer = undefined;
      const late = this.#clock.monotonic();
      for (const waiting of this.#line) {
        if (waiting.until > late) break;
        this.#line.delete(waiting);
        waiting.refuse();
      }
      this.#watch(late);
    });
  }
}
