// Who is to be told when a node changes. The npm package keeps an event emitter for each node, half a
// kilobyte; with one node an instance that is most of what a source takes. This does the same in a map entry.
// ZooKeeper's watches fire once, and so do these.

export type OnChange = (path: string) => void;

/** Of ZooKeeper's WatcherEvent. */
const NODE_CREATED = 1;
const NODE_DELETED = 2;
const NODE_DATA_CHANGED = 3;
const NODE_CHILDREN_CHANGED = 4;

/** Takes the place of the package's WatcherManager; the names are its own. */
export class Watches {
  readonly #data = new Map<string, OnChange>();
  readonly #children = new Map<string, OnChange>();

  registerDataWatcher(path: string, onChange: OnChange): void {
    this.#data.set(path, onChange);
  }

  registerChildWatcher(path: string, onChange: OnChange): void {
    this.#children.set(path, onChange);
  }

  /** Throws for an event of a type that there is not. */
  emit({ type, path }: { readonly type: number; readonly path: string }): void {
    switch (type) {
      case NODE_CREATED:
      case NODE_DATA_CHANGED:
        return this.#fire(this.#data, path);
      case NODE_CHILDREN_CHANGED:
        return this.#fire(this.#children, path);
      case NODE_DELETED:
        this.#fire(this.#data, path);
        return this.#fire(this.#children, path);
      default:
        throw new TypeError(`an event of type ${type}`);
    }
  }

  /** It would set them again on its next connection; here there is none. */
  isEmpty(): boolean {
    return true;
  }

  #fire(watches: Map<string, OnChange>, path: string): void {
    const onChange = watches.get(path);
    watches.delete(path);
    onChange?.(path);
  }
}
