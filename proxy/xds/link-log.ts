// What the log says of the link to the control plane: an outage is said once for each address and cause, and its end
// once, however many tries lie between. Only the log: what happens next is the client's business.
import type { Clock } from '../../lib/clock.ts';
import { IsthmusError, describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

export class LinkLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  /** Since the outage began: what was said, by address. */
  readonly #said = new Map<string, string>();
  #since = 0;
  #isKnown = false;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** A stream to `address` ended, or never began. */
  lost(address: string, fault: unknown): void {
    if (this.#said.size === 0) this.#since = this.#clock.monotonic();
    const cause = describeError(fault);
    const isNews = this.#said.get(address) !== cause;
    this.#said.set(address, cause);
    if (!isNews) return;
    const hint = fault instanceof IsthmusError && fault.hint !== '' ? { hint: fault.hint } : {};
    const what = this.#isKnown
      ? 'control plane lost, serving on'
      : 'no control plane yet: nothing to serve until it answers, asking again';
    this.#log.warn({ address, cause, ...hint }, what);
  }

  /** A control plane has answered. */
  answered(address: string): void {
    this.#isKnown = true;
    if (this.#said.size === 0) return;
    this.#said.clear();
    const seconds = Math.round((this.#clock.monotonic() - this.#since) / 1000);
    this.#log.info({ address, seconds }, 'control plane answers');
  }
}
