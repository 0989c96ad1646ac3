// The services that have to be looked at until the newest view of the world is taken in. Comparing two views is
// work, too, and is done one service at a time. News comes before what is older: a change to one service does not
// wait behind a first list of a hundred thousand.
import { changedKeys } from '../../lib/bucket-map.ts';
import type { ServiceShards } from '../../model/snapshot.ts';

export type Services = ReadonlyMap<string, ServiceShards>;

export class Backlog {
  /** What is left of each comparison, the newest one last. */
  readonly #walks: Iterator<string>[] = [];
  #services: Services = new Map();

  offer(services: Services): void {
    if (services === this.#services) return;
    this.#walks.push(changedKeys(this.#services, services)[Symbol.iterator]());
    this.#services = services;
  }

  /** A service of which something may be new; it may be named again. undefined: nothing is left. */
  next(): string | undefined {
    for (let walk = this.#walks.at(-1); walk; walk = this.#walks.at(-1)) {
      const step = walk.next();
      if (step.done !== true) return step.value;
      this.#walks.pop();
    }
    return undefined;
  }

  /** In the newest view. */
  newest(service: string): ServiceShards | undefined {
    return this.#services.get(service);
  }
}
