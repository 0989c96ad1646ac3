// The views that connected nodes need, one per group, kept while a stream uses it.
import type { Catalogue } from './resources/catalogue.ts';
import { viewOf } from './view.ts';
import type { GroupKey, View } from './view.ts';

export class Groups {
  readonly #catalogue: Catalogue;
  readonly #views = new Map<string, { readonly view: View; users: number }>();

  readonly #onCallers: (callers: number) => void;
  #callers = 0;

  /** @param onCallers told how many of the users check endpoints, each time that changes. */
  constructor(catalogue: Catalogue, onCallers: (callers: number) => void = () => undefined) {
    this.#catalogue = catalogue;
    this.#onCallers = onCallers;
  }

  /** How many different views are in use. */
  get size(): number {
    return this.#views.size;
  }

  /** Each call is paired with one of `leave`. */
  join(key: GroupKey): { readonly view: View; readonly leave: () => void } {
    const id = JSON.stringify(key);
    const entry = this.#views.get(id) ?? { view: viewOf(this.#catalogue, key), users: 0 };
    entry.users += 1;
    this.#views.set(id, entry);
    const checks = key.dialect === 'envoy' ? 1 : 0;
    this.#count(checks);
    let left = false;
    const leave = () => {
      if (left) return;
      left = true;
      this.#count(-checks);
      entry.users -= 1;
      if (entry.users === 0) this.#views.delete(id);
    };
    return { view: entry.view, leave };
  }

  #count(more: number): void {
    if (more === 0) return;
    this.#callers += more;
    this.#onCallers(this.#callers);
  }
}
