// The sidecars that are connected now, here or to another replica, and those that broke off a while ago. Who is let
// in is written by adapters/sidecar/door.ts; the source reads, and so do replicas. Who comes late is told of all of
// them. Knows neither rights nor endpoints.
import type { Clock } from '../../lib/clock.ts';
import type { Health } from '../../model/endpoint.ts';
import type { AdmittedSidecar, AppReport, Departure } from '../../model/sidecars.ts';
import { AppHealth } from './app-health.ts';

export interface SidecarListener {
  joined(session: AdmittedSidecar): void;
  left(session: AdmittedSidecar, how: Departure): void;
  /** How the app beside it is; `unknown` when that was not said for too long. */
  found(session: AdmittedSidecar, health: Health): void;
}

/** So long one that broke off is remembered for those who follow later: it may answer still. */
const REMEMBER_MS = 600_000;

export class SidecarBook {
  readonly #clock: Clock;
  /** By node: a sidecar may have several streams. */
  readonly #open = new Map<string, Set<AdmittedSidecar>>();
  /** By node. */
  readonly #lost = new Map<string, { readonly session: AdmittedSidecar; readonly at: number }>();
  readonly #listeners = new Set<SidecarListener>();
  /** Of those that are open, as far as it was said; and of those connected here, how long it counts. */
  readonly #found = new Map<AdmittedSidecar, Health>();
  readonly #apps = new Map<AdmittedSidecar, AppHealth>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  open(session: AdmittedSidecar): (how: Departure) => void {
    // Two streams of one sidecar may say the same: each is an object of its own.
    const own = { ...session };
    const streams = this.#open.get(own.node) ?? new Set();
    this.#open.set(own.node, streams.add(own));
    this.#lost.delete(own.node);
    for (const listener of this.#listeners) listener.joined(own);
    return (how) => {
      if (!streams.delete(own)) return;
      if (streams.size === 0) this.#open.delete(own.node);
      this.#apps.get(own)?.close();
      this.#apps.delete(own);
      this.#found.delete(own);
      if (how === 'broken' && streams.size === 0) this.#lose(own);
      for (const listener of this.#listeners) listener.left(own, how);
    };
  }

  /** What a sidecar that is connected here found; believed from where it is connected from. */
  report({ node, peer, ...report }: AppReport): void {
    for (const session of this.#open.get(node) ?? []) {
      if (session.via !== '' || session.peer !== peer) continue;
      const app =
        this.#apps.get(session) ?? new AppHealth(this.#clock, (health) => this.#tell(session, health));
      this.#apps.set(session, app);
      app.hear(report);
    }
  }

  /** What another replica knows of one that is connected to it. */
  found(via: string, node: string, health: Health): void {
    for (const session of this.#open.get(node) ?? []) {
      if (session.via === via) this.#tell(session, health);
    }
  }

  /** Hears of everybody who is there at once; the returned function ends it. */
  follow(listener: SidecarListener): () => void {
    this.#listeners.add(listener);
    for (const session of [...this.#open.values()].flatMap((streams) => [...streams])) {
      listener.joined(session);
      const health = this.#found.get(session);
      if (health) listener.found(session, health);
    }
    this.#forgetOld();
    for (const { session } of this.#lost.values()) {
      listener.joined(session);
      listener.left(session, 'broken');
    }
    return () => this.#listeners.delete(listener);
  }

  #tell(session: AdmittedSidecar, health: Health): void {
    if (this.#found.get(session) === health) return;
    this.#found.set(session, health);
    for (const listener of this.#listeners) listener.found(session, health);
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
