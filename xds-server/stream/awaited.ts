// Clusters that one client was sent, and whose endpoints it has not acknowledged since: listeners and routes wait
// for them (O2, O5), a cluster that the client does not ask for holds up nothing for longer than a step may.
import type { ResourceType } from '../types.ts';
import type { View } from '../view.ts';
import { STEP_LIMIT_MS } from './plan.ts';
import type { InFlight } from './subscription.ts';

export class AwaitedEndpoints {
  /** Monotonic ms of the sending, by name. */
  readonly #since = new Map<string, number>();

  get size(): number {
    return this.#since.size;
  }

  /** @param now monotonic ms. */
  expect(name: string, now: number): void {
    this.#since.set(name, now);
  }

  /**
   * A cluster is complete once its endpoints were ACKed; a refused one is not waited for.
   * @param due endpoints that are owed anew: those that were sent before the cluster changed do not count.
   */
  answered(
    type: ResourceType,
    response: InFlight,
    refused: boolean,
    due: ReadonlySet<string> | undefined,
  ): void {
    if (type !== 'eds' && !(type === 'cds' && refused)) return;
    for (const { name } of response.resources) {
      if (type === 'cds' || !due?.has(name)) this.#since.delete(name);
    }
    for (const name of response.removed) this.#since.delete(name);
  }

  /** Drops clusters that are gone, and those whose endpoints the client does not ask for. */
  forget(now: number, view: View): void {
    for (const [name, since] of this.#since) {
      if (now - since >= STEP_LIMIT_MS || !view.get('cds', name)) this.#since.delete(name);
    }
  }
}
