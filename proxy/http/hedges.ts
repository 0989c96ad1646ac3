// Tries that took too long and go on beside newer ones (hedge_on_per_try_timeout): the first good answer wins, all
// others are given up. One of them never asks for a further try: that was done when it was set aside. Made by the
// first try that is set aside; requests without one have nothing of it.
import type { ResetReason } from '../flags.ts';
import type { RetryState } from '../retry/state.ts';
import type { Attempt, AttemptOwner } from './attempt.ts';
import type { ResponseHead } from './response-head.ts';

export interface HedgeOwner extends AttemptOwner {
  /** The try that has won is the request's own from now on; what it hears next follows at once. */
  onWinner(): void;
}

/** Whose tries they are. */
export interface HedgedTries {
  readonly retry: RetryState;
  /** The others are over, and none follows. */
  win(attempt: Attempt): void;
}

export class Hedges {
  readonly #owner: HedgeOwner;
  readonly #tries: HedgedTries;
  readonly #aside: Attempt[] = [];
  /** The newest try has failed, and none follows it. */
  newestFailed = false;

  constructor(owner: HedgeOwner, tries: HedgedTries) {
    this.#owner = owner;
    this.#tries = tries;
  }

  get size(): number {
    return this.#aside.length;
  }

  add(attempt: Attempt): void {
    this.newestFailed = false;
    this.#aside.push(attempt);
    attempt.handTo(new AsideOwner(this, attempt));
  }

  /** Gives them up. @param lost another one has won: nobody's fault. */
  end(lost: boolean): void {
    for (const attempt of this.#aside.splice(0)) {
      if (lost) attempt.abandon();
      attempt.end();
    }
  }

  /** It has failed. True when another one may still do. */
  leave(attempt: Attempt): boolean {
    if (this.#aside.length === 1 && this.newestFailed) return false;
    this.#aside.splice(this.#aside.indexOf(attempt), 1);
    attempt.end();
    return true;
  }

  dislikes(head: ResponseHead): boolean {
    return this.#tries.retry.dislikes(head);
  }

  /** What follows is the owner's. */
  win(attempt: Attempt): HedgeOwner {
    this.#aside.splice(this.#aside.indexOf(attempt), 1);
    attempt.handTo(this.#owner);
    this.#tries.win(attempt);
    this.#owner.onWinner();
    return this.#owner;
  }
}

/** Hears what becomes of one try that was set aside. All of its request was sent. */
class AsideOwner implements AttemptOwner {
  readonly #hedges: Hedges;
  readonly #attempt: Attempt;

  constructor(hedges: Hedges, attempt: Attempt) {
    this.#hedges = hedges;
    this.#attempt = attempt;
  }

  onReady(): void {
    // It has been ready: only then does the time of a try begin.
  }

  onInterim(head: ResponseHead): void {
    this.#hedges.win(this.#attempt).onInterim(head);
  }

  onResponse(head: ResponseHead, bytes: Buffer, from: number, to: number, done: boolean): void {
    if (this.#hedges.dislikes(head)) {
      if (done) this.#attempt.detach();
      if (this.#hedges.leave(this.#attempt)) return;
    }
    this.#hedges.win(this.#attempt).onResponse(head, bytes, from, to, done);
  }

  onBody(): void {
    // With the head it became somebody else's.
  }

  onDrain(): void {
    // Nothing waits to be written.
  }

  onReset(reason: ResetReason, detail: string): void {
    if (this.#hedges.leave(this.#attempt)) return this.#attempt.blame('failed');
    this.#hedges.win(this.#attempt).onReset(reason, detail);
  }
}
