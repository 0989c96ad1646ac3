// One sidecar's life as an endpoint: let in, challenged, listed, and gone. It is listed once its address has
// answered in the service's name, and stays so until it ends; a stream that breaks has a time of grace.
import { backoff } from '../../lib/backoff.ts';
import { childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { isSameRegistration } from '../../model/sidecars.ts';
import type { Departure, Registration, SidecarSession } from '../../model/sidecars.ts';

/** Where an address is asked whether it belongs to the service. '' when it does, else why not. */
export type Challenge = (address: string, registration: Registration, signal: AbortSignal) => Promise<string>;

export interface InstanceOptions {
  readonly clock: Clock;
  readonly graceMs: number;
  /** @returns the address to register. @throws why it may not. */
  readonly admit: (session: SidecarSession) => Promise<string>;
  readonly challenge: Challenge;
  /** It is listed now, or listed otherwise, or (`removed`) no longer; `intended`: it said so itself. */
  readonly onChange: (service: string, intended: boolean) => void;
  /** Why it is not listed yet; said once per reason. */
  readonly onRefused: (why: string) => void;
  /** Nothing is left of it. */
  readonly onOver: () => void;
}

const CHALLENGE_BACKOFF = { baseMs: 500, maxMs: 10_000 };

export interface Listed {
  readonly address: string;
  readonly registration: Registration;
}

export class Instance {
  readonly #options: InstanceOptions;
  readonly #signal: AbortSignal;
  readonly #sessions = new Set<SidecarSession>();
  #cancelGrace: (() => void) | undefined;
  #stopProving: (() => void) | undefined;
  #lastRefusal = '';
  #claimed: Registration | undefined;
  listed: Listed | undefined;

  constructor(options: InstanceOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  joined(session: SidecarSession): void {
    this.#sessions.add(session);
    this.#cancelGrace?.();
    this.#cancelGrace = undefined;
    const { registration } = session;
    if (this.#claimed && isSameRegistration(this.#claimed, registration)) return;
    this.#claimed = registration;
    this.#stopProving?.();
    const { controller, release } = childController(this.#signal);
    this.#stopProving = () => controller.abort(new Error('another registration'));
    void this.#prove(session, controller.signal).finally(release);
  }

  left(session: SidecarSession, how: Departure): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    if (how === 'ended') return this.#end(true);
    this.#cancelGrace = this.#options.clock.after(this.#options.graceMs, () => this.#end(false));
  }

  /** Forgets timers and work; tells nobody. */
  close(): void {
    this.#cancelGrace?.();
    this.#stopProving?.();
  }

  #end(intended: boolean): void {
    this.close();
    const { listed } = this;
    this.listed = undefined;
    if (listed) this.#options.onChange(listed.registration.service, intended);
    this.#options.onOver();
  }

  /** Until it is proven, or until `signal` aborts. Never rejects. */
  async #prove(session: SidecarSession, signal: AbortSignal): Promise<void> {
    const wait = backoff(CHALLENGE_BACKOFF);
    while (!signal.aborted) {
      const why = await this.#tryOnce(session, signal);
      if (signal.aborted || why === '') return;
      if (why !== this.#lastRefusal) this.#options.onRefused(why);
      this.#lastRefusal = why;
      // What was proven before and no longer is, is not served under the new claim.
      if (this.listed) {
        const { service } = this.listed.registration;
        this.listed = undefined;
        this.#options.onChange(service, true);
      }
      await sleep(wait.next(), signal, this.#options.clock).catch(() => undefined);
    }
  }

  async #tryOnce(session: SidecarSession, signal: AbortSignal): Promise<string> {
    const { registration } = session;
    let address: string;
    try {
      address = await this.#options.admit(session);
    } catch (thrown) {
      return thrown instanceof Error ? thrown.message : String(thrown);
    }
    const why = await this.#options.challenge(address, registration, signal);
    if (why !== '' || signal.aborted) return why;
    const before = this.listed?.registration.service;
    this.listed = { address, registration };
    this.#lastRefusal = '';
    if (before !== undefined && before !== registration.service) this.#options.onChange(before, true);
    this.#options.onChange(registration.service, true);
    return '';
  }
}
