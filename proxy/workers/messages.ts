// What a parent and its workers tell each other over their channel. Nothing of a request ever passes here.

/** From a worker. */
export type WorkerSays =
  /** Its own admin API listens on loopback. */
  | { readonly isthmus: 'up'; readonly adminPort: number }
  /** Configured, and every listener listens. */
  | { readonly isthmus: 'ready' };

/** To a worker: end in order; `retire` while another serves in its place, `stop` when all end. */
export type WorkerHears = 'retire' | 'stop';

export function isWorkerSays(message: unknown): message is WorkerSays {
  return typeof message === 'object' && message !== null && 'isthmus' in message;
}
