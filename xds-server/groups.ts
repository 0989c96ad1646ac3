// The views that connected nodes need, one per group, kept while a stream uses it.
import type { Catalogue, ChangeSet } from './build/catalogue.ts';
import { GroupView } from './view.ts';
import type { GroupKey, View } from './view.ts';

export class Groups {
  readonly #catalogue: Catalogue;
  readonly #views = new Map<string, { readonly view: GroupView; users: number }>();

  constructor(catalogue: Catalogue) {
    this.#catalogue = catalogue;
  }

  /** Each call is paired with one of `leave`. */
  join(key: GroupKey): { readonly view: View; readonly leave: () => void } {
    const id = JSON.stringify(key);
    const entry = this.#views.get(id) ?? { view: new GroupView(this.#catalogue, key), users: 0 };
    entry.users += 1;
    this.#views.set(id, entry);
    const leave = () => {
      entry.users -= 1;
      if (entry.users === 0) this.#views.delete(id);
    };
    return { view: entry.view, leave };
  }

  changed(changes: ChangeSet): void {
    for (const { view } of this.#views.values()) view.changed(changes.keys());
  }
}
