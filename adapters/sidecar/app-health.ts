// How the app beside a sidecar is, as it said last: until it says otherwise, or has not said so for too long. Then
// nothing is known, and silence is never bad news.
import type { Clock } from '../../lib/clock.ts';
import type { Health } from '../../model/endpoint.ts';
import type { AppReport } from '../../model/sidecars.ts';

export class AppHealth {
  readonly #clock: Clock;
  readonly #onHealth: (health: Health) => void;
  #cancelExpiry: () => void = () => undefined;

  /** @param onHealth each time that it is said, and once when it was not said for too long. */
  constructor(clock: Clock, onHealth: (health: Health) => void) {
    this.#clock = clock;
    this.#onHealth = onHealth;
  }

  hear({ health, validMs }: Pick<AppReport, 'health' | 'validMs'>): void {
    this.#cancelExpiry();
    this.#cancelExpiry = this.#clock.after(validMs, () => this.#onHealth('unknown'));
    this.#onHealth(health);
  }

  close(): void {
    this.#cancelExpiry();
  }
}
