// Who is to be told of a change: found by name, so that a change costs what its subscribers cost, however many
// others there are. Those that want everything, or very much, are not entered by name: they are asked each time.
import type { ChangeSet } from '../dialect.ts';
import type { ResourceType } from '../types.ts';

/** Subscriptions with more names than this are not worth an index: one more set entry for each name. */
const MAX_NAMES = 64;

/** What a subscription tells of itself. */
export interface Interested {
  added(name: string): void;
  deleted(name: string): void;
  /** It wants everything, or does no longer. */
  all(is: boolean): void;
}

export class Interest<T> {
  readonly #named = new Map<ResourceType, Map<string, Set<T>>>();
  /** With the number of their subscriptions that are not entered by name. */
  readonly #wide = new Map<T, number>();

  /** For one subscription of `who`; call leave() when it ends. */
  of(type: ResourceType, who: T): Interested & { leave(): void } {
    return new Entry(this.#of(type), this.#wide, who);
  }

  /** Everyone who may want one of these names, and possibly others. */
  in(changeSets: Iterable<ChangeSet>): Set<T> {
    const found = new Set<T>();
    for (const changes of changeSets) {
      if (changes.size > 0) for (const who of this.#wide.keys()) found.add(who);
      for (const [type, names] of changes) this.#find(type, names, found);
    }
    return found;
  }

  #find(type: ResourceType, names: Iterable<string>, found: Set<T>): void {
    const named = this.#named.get(type);
    if (!named || named.size === 0) return;
    for (const name of names) for (const who of named.get(name) ?? []) found.add(who);
  }

  /** 0 when nobody wants anything. */
  get size(): number {
    return this.#wide.size + [...this.#named.values()].reduce((sum, named) => sum + named.size, 0);
  }

  #of(type: ResourceType): Map<string, Set<T>> {
    const named = this.#named.get(type) ?? new Map<string, Set<T>>();
    this.#named.set(type, named);
    return named;
  }
}

class Entry<T> implements Interested {
  readonly #index: Map<string, Set<T>>;
  readonly #wide: Map<T, number>;
  readonly #who: T;
  readonly #names = new Set<string>();
  #all = false;
  /** It had too many names once; it stays so, since they come and go one by one. */
  #many = false;

  constructor(index: Map<string, Set<T>>, wide: Map<T, number>, who: T) {
    this.#index = index;
    this.#wide = wide;
    this.#who = who;
  }

  added(name: string): void {
    if (this.#many) return;
    if (this.#names.size === MAX_NAMES) return this.#widen();
    this.#names.add(name);
    const interested = this.#index.get(name) ?? new Set<T>();
    interested.add(this.#who);
    this.#index.set(name, interested);
  }

  deleted(name: string): void {
    if (!this.#names.delete(name)) return;
    const interested = this.#index.get(name);
    interested?.delete(this.#who);
    if (interested?.size === 0) this.#index.delete(name);
  }

  all(is: boolean): void {
    if (is === this.#all) return;
    this.#all = is;
    this.#count(is ? 1 : -1);
  }

  leave(): void {
    for (const name of this.#names) this.deleted(name);
    this.all(false);
    if (this.#many) this.#count(-1);
    this.#many = false;
  }

  #widen(): void {
    for (const name of this.#names) this.deleted(name);
    this.#many = true;
    this.#count(1);
  }

  #count(change: 1 | -1): void {
    const count = (this.#wide.get(this.#who) ?? 0) + change;
    if (count === 0) this.#wide.delete(this.#who);
    else this.#wide.set(this.#who, count);
  }
}
