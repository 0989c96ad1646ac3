// The sidecars that are connected now. The xds-server writes, the source reads; who comes before the source runs
// is told to it when it does. Knows neither rights nor endpoints.
import type { Departure, SidecarSession } from '../../model/sidecars.ts';

export interface SidecarListener {
  joined(session: SidecarSession): void;
  left(session: SidecarSession, how: Departure): void;
}

export class SidecarBook {
  readonly #open = new Set<SidecarSession>();
  #listener: SidecarListener | undefined;

  /** A SidecarDoor. */
  open(session: SidecarSession): (how: Departure) => void {
    // Two streams of one sidecar may say the same: each is an object of its own.
    const own = { ...session };
    this.#open.add(own);
    this.#listener?.joined(own);
    return (how) => {
      if (this.#open.delete(own)) this.#listener?.left(own, how);
    };
  }

  /** One at a time. Hears of everybody who is there at once; the returned function ends it. */
  follow(listener: SidecarListener): () => void {
    this.#listener = listener;
    for (const session of this.#open) listener.joined(session);
    return () => {
      if (this.#listener === listener) this.#listener = undefined;
    };
  }
}
