// Names that clients asked for and that do not exist, so that whoever waits for one is told when it comes.
// Clients can invent names without end: the oldest ones are forgotten, and their clients ask again on their
// next stream.

const MAX_KEYS = 20_000;
const MAX_NAMES = 100;

export class MissedNames {
  readonly #byKey = new Map<string, Set<string>>();

  /** @param key what must come for the name to exist; names may share one. */
  add(key: string, name: string): void {
    const names = this.#byKey.get(key) ?? new Set();
    this.#byKey.set(key, names);
    names.add(name);
    drop(names, MAX_NAMES);
    drop(this.#byKey, MAX_KEYS);
  }

  has(key: string, name: string): boolean {
    return this.#byKey.get(key)?.has(name) ?? false;
  }

  /** The names of a key, which are forgotten. */
  take(key: string): ReadonlySet<string> {
    const names = this.#byKey.get(key);
    this.#byKey.delete(key);
    return names ?? NONE;
  }
}

const NONE: ReadonlySet<string> = new Set();

function drop(all: Set<string> | Map<string, unknown>, limit: number): void {
  const [oldest] = all.size > limit ? all.keys() : [];
  if (oldest !== undefined) all.delete(oldest);
}
