// The sidecars that are connected now, here or to another replica, and those that broke off a while ago. Who is let
// in is written by adapters/sidecar/door.ts; the source reads, and so do replicas. Who comes late is told of all of
// them. Knows neither rights nor endpoints.
import type { Clock } from '../../lib/clock.ts';
import type { AdmittedSidecar, Departure } from '../../model/sidecars.ts';

export interface SidecarListener {
  joined(session: AdmittedSidecar): void;
  left(session: AdmittedSidecar, how: Departure): void;
}

/** So long one that broke off is remembered for those who follow later: it may answer still. */
const REMEMBER_MS = 600_000;

export class SidecarBook {
  readonly #clock: Clock;
  readonly #open = new Set<AdmittedSidecar>();
  /** By node. */
  readonly #lost = new Map<string, { readonly session: AdmittedSidecar; readonly at: number }>();
  readonly #listeners = new Set<SidecarListener>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  open(session: AdmittedSidecar): (how: Departure) => void {
    // Two streams of one sidecar may say the same: each is an object of its own.
    const own = { ...session };
    this.#open.add(own);
    this.#lost.delete(own.node);
    for (const listener of this.#listeners) listener.joined(own);
    return (how) => {
      if (!this.#open.delete(own)) return;
      if (how === 'broken' && !this.#isOpen(own.node)) this.#lose(own);
      for (const listener of this.#listeners) listener.left(own, how);
    };
  }

  /** Hears of everybody who is there at once; the returned function ends it. */
  follow(listener: SidecarListener): () => void {
    this.#listeners.add(listener);
    for (const session of this.#open) listener.joined(session);
    this.#forgetOld();
    for (const { session } of this.#lost.values()) {
      listener.joined(session);
      listener.left(session, 'broken');
    }
    return () => this.#listeners.delete(listener);
  }

  #isOpen(node: string): boolean {
    for (const session of this.#open) if (session.node === node) return true;
    return false;
  }

  #lose(session: AdmittedSidecar): void {
    this.#forgetOld();
    this.#lost.set(session.node, { session, at: this.#clock.monotonic() });
  }

  #forgetOld(): void {
    const since = this.#clock.monotonic() - REMEMBER_MS;
    for (const [node, { at }] of this.#lost) if (at < since) this.#lost.delete(node);
  }
}
