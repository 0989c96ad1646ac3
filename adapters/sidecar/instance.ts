// One sidecar's life as an endpoint, once it was let in: challenged, listed, and gone. It is listed once its address has
// answered in the service's name, and stays so until it ends. When its stream breaks, its address is asked again and
// again: it stays while it answers in that name, has a time of grace while it does not answer, and whoever answers
// otherwise is told of, also later: a registry may list the address still.
import { backoff } from '../../lib/backoff.ts';
import { childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Health } from '../../model/endpoint.ts';
import { isSameRegistration } from '../../model/sidecars.ts';
import type { AdmittedSidecar, Departure, Registration } from '../../model/sidecars.ts';

/** Where an address is asked whether it belongs to the service. */
export type Challenge = (
  address: string,
  registration: Registration,
  /** `watch`: nobody waits for it to be listed. */
  why: 'prove' | 'watch',
  signal: AbortSignal,
) => Promise<Challenged>;

export interface Challenged {
  /** `silent`: nobody is there. `other`: somebody else is, or somebody who does not say who. */
  readonly who: 'own' | 'other' | 'silent';
  /** '' when it is its own, else why not. */
  readonly why: string;
  /** Of `other`, its name; '' when it did not say. */
  readonly name: string;
}

export interface InstanceOptions {
  readonly clock: Clock;
  readonly graceMs: number;
  readonly challenge: Challenge;
  /** It is listed now, or listed otherwise, or (`removed`) no longer; `intended`: it said so itself. */
  readonly onChange: (service: string, intended: boolean) => void;
  /** Why it is not listed yet; said once per reason. */
  readonly onRefused: (why: string) => void;
  /** It is listed, as its address has answered in its name. */
  readonly onOwner: (listed: Listed) => void;
  /** Somebody else answers where it was. */
  readonly onImpostor: (listed: Listed, name: string, isNews: boolean) => void;
  /** Nothing is left of it. */
  readonly onOver: () => void;
}

/** Between two looks at an address whose sidecar is not connected. */
const WATCH_MS = 2_000;
/** So long it is looked who comes to the address of a sidecar that went without a word. */
const WATCH_FOR_MS = 3_600_000;
/** Also with a grace of 0. */
const LEAST_WATCH_MS = 100;

const CHALLENGE_BACKOFF = { baseMs: 500, maxMs: 10_000 };
const TELL_FROM_TRY = 3;

export interface Listed {
  readonly address: string;
  readonly registration: Registration;
}

export class Instance {
  readonly #options: InstanceOptions;
  readonly #signal: AbortSignal;
  readonly #sessions = new Set<AdmittedSidecar>();
  #stopWatching: (() => void) | undefined;
  #stopProving: (() => void) | undefined;
  #lastRefusal = '';
  #claimed: Registration | undefined;
  listed: Listed | undefined;
  /** Of the app beside it. */
  health: Health = 'unknown';

  constructor(options: InstanceOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  joined(session: AdmittedSidecar): void {
    const { registration } = session;
    if ([...this.#sessions].some((other) => !isSameRegistration(other.registration, registration))) {
      this.#options.onRefused(
        'two sidecars say the same node id, one of them counts: give each its --node-id',
      );
    }
    this.#sessions.add(session);
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#claim(session);
  }

  #claim(session: AdmittedSidecar): void {
    const { registration } = session;
    const isListed = this.listed !== undefined || this.#stopProving !== undefined;
    if (isListed && this.#claimed && isSameRegistration(this.#claimed, registration)) return;
    this.#claimed = registration;
    this.health = 'unknown';
    this.#stopProving?.();
    const { controller, release } = childController(this.#signal);
    this.#stopProving = () => controller.abort(new Error('another registration'));
    void this.#prove(session, controller.signal).finally(() => {
      release();
      if (!controller.signal.aborted) this.#stopProving = undefined;
    });
  }

  found(health: Health): void {
    if (health === this.health) return;
    this.health = health;
    if (this.listed) this.#options.onChange(this.listed.registration.service, false);
  }

  left(session: AdmittedSidecar, how: Departure): void {
    if (!this.#sessions.delete(session)) return;
    const rest = [...this.#sessions].at(-1);
    if (rest) return this.#claim(rest);
    if (how === 'ended') return this.#end(true);
    const { controller, release } = childController(this.#signal);
    this.#stopWatching = () => controller.abort(new Error('it is back'));
    void this.#watch(controller.signal).finally(release);
  }

  /** Forgets timers and work; tells nobody. */
  close(): void {
    this.#stopWatching?.();
    this.#stopProving?.();
  }

  /** It is not connected: who is at its address? Never rejects. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, graceMs, challenge, onImpostor } = this.#options;
    let was = this.listed;
    let impostor: string | undefined;
    const leftAt = clock.monotonic();
    let aliveAt = leftAt;
    const passed = () => clock.monotonic() - aliveAt;
    while (!signal.aborted) {
      // It may break off before it was proven.
      was = this.listed ?? was;
      const found = was ? await challenge(was.address, was.registration, 'watch', signal) : undefined;
      if (signal.aborted) return;
      if (found?.who === 'own') aliveAt = clock.monotonic();
      if (was && found?.who === 'own' && !this.listed) this.#list(was);
      if (was && found?.who === 'other') {
        // A proof, not silence: nobody need be careful about it.
        this.#unlist(true);
        onImpostor(was, found.name, found.name !== impostor);
        impostor = found.name;
      }
      if (clock.monotonic() - leftAt >= graceMs) this.found('unknown');
      if (passed() >= graceMs) this.#unlist(false);
      if (passed() >= (was ? graceMs + WATCH_FOR_MS : graceMs)) return this.#end(false);
      await sleep(Math.max(LEAST_WATCH_MS, Math.min(WATCH_MS, graceMs)), signal, clock).catch(
        () => undefined,
      );
    }
  }

  #list(listed: Listed): void {
    this.listed = listed;
    this.#options.onChange(listed.registration.service, true);
    this.#options.onOwner(listed);
  }

  #unlist(intended: boolean): void {
    const { listed } = this;
    this.listed = undefined;
    if (listed) this.#options.onChange(listed.registration.service, intended);
  }

  #end(intended: boolean): void {
    this.close();
    this.#unlist(intended);
    this.#options.onOver();
  }

  /** Until it is proven, or until `signal` aborts. Never rejects. */
  async #prove(session: AdmittedSidecar, signal: AbortSignal): Promise<void> {
    const wait = backoff(CHALLENGE_BACKOFF);
    for (let tries = 1; !signal.aborted; tries += 1) {
      const { who, why } = await this.#tryOnce(session, signal);
      if (signal.aborted || why === '') return;
      // A sidecar listens only when it has been told where: the first pings of a good start find nobody.
      if (who !== 'silent' || tries >= TELL_FROM_TRY) this.#refused(why);
      // What was proven before and no longer is, is not served under the new claim.
      this.#unlist(true);
      await sleep(wait.next(), signal, this.#options.clock).catch(() => undefined);
    }
  }

  #refused(why: string): void {
    if (why !== this.#lastRefusal) this.#options.onRefused(why);
    this.#lastRefusal = why;
  }

  async #tryOnce(session: AdmittedSidecar, signal: AbortSignal): Promise<Challenged> {
    const { address, registration } = session;
    const found = await this.#options.challenge(address, registration, 'prove', signal);
    if (found.why !== '' || signal.aborted) return found;
    const before = this.listed?.registration.service;
    this.listed = { address, registration };
    this.#lastRefusal = '';
    if (before !== undefined && before !== registration.service) this.#options.onChange(before, true);
    this.#options.onChange(registration.service, true);
    this.#options.onOwner(this.listed);
    return found;
  }
}
