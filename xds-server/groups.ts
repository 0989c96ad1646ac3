// The views that connected nodes need, one per group, kept while a stream uses it.
import type { Catalogue } from './resources/catalogue.ts';
import { viewOf } from './view.ts';
import type { GroupKey, View } from './view.ts';

export class Groups {
  readonly #catalogue: Catalogue;
  readonly #views = new Map<string, { readonly view: View; users: number }>();

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue;
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
    let left = false;
    const leave = () => {
      if (left) return;
      left = true;
      entry.users -= 1;
      if (entry.users === 0) this.#views.delete(id);
    };
    return { view: entry.view, leave };
  }
}
