// What left a source without intent: who, when, and how much of it is remembered. Counts only; whether it is too
// much is the guard's question.
import { isSpent } from './entry.ts';
import type { Entry } from './entry.ts';

export class Absences {
  /** Services with endpoints that are kept. */
  readonly keeping = new Set<string>();
  /** Services that lost endpoints since the last judgement. */
  readonly lost = new Set<string>();
  /** In the order of time, until the guard's window has passed. */
  #departures: { readonly at: number; readonly service: string; readonly key: string }[] = [];
  #missing = 0;

  /** Endpoints that are kept, in doubt or within the window. */
  get missing(): number {
    return this.#missing;
  }

  lose(service: string, keys: readonly string[], now: number): void {
    if (keys.length > 0) this.lost.add(service);
    for (const key of keys) this.#departures.push({ at: now, service, key });
  }

  /** The entry keeps so many more than before. */
  changed(entry: Entry, more: number): void {
    this.#missing += more;
    if (entry.kept?.size) this.keeping.add(entry.service);
    else this.keeping.delete(entry.service);
  }

  /** What left before `until` and was believed is forgotten. */
  forget(until: number, entries: Map<string, Entry>): void {
    let count = 0;
    for (const { at, service, key } of this.#departures) {
      if (at > until) break;
      count += 1;
      const entry = entries.get(service);
      const kept = entry?.kept?.get(key);
      if (!entry || kept?.goneAt !== at || kept.doubtedAt !== undefined) continue;
      entry.kept?.delete(key);
      this.changed(entry, -1);
      if (isSpent(entry)) entries.delete(service);
    }
    if (count > 0) this.#departures = this.#departures.slice(count);
  }

  clear(): void {
    this.keeping.clear();
    this.lost.clear();
    this.#departures = [];
    this.#missing = 0;
  }
}
