// Finds what a client refuses when its words do not name it: resources that were refused together are offered
// again in halves, one half at a time, until the guilty ones stand alone. The good ones pass on the way.
// Knows no protocol; never offers the same set of resources twice.
import type { EncodedResource } from '../resource.ts';

type Suspect = Pick<EncodedResource, 'name' | 'version'>;

/** A client that refuses this many, one by one, will refuse the rest too. */
const MAX_FOUND = 32;

export class Trials {
  readonly #groups: (readonly Suspect[])[] = [];
  /** Content that waits for its trial, by name. */
  readonly #waiting = new Map<string, string>();
  #found = 0;
  /** Versions of whole sets that were refused while this lasts. */
  readonly #refusedSets = new Set<string>();

  get pending(): boolean {
    return this.#groups.length > 0;
  }

  /** This very content waits for its trial: it goes into no other response. */
  holds(resource: Suspect): boolean {
    return this.#waiting.get(resource.name) === resource.version;
  }

  /** Two or more were refused together; they are offered in halves. */
  divide(suspects: readonly Suspect[]): void {
    const half = Math.ceil(suspects.length / 2);
    for (const part of [suspects.slice(half), suspects.slice(0, half)]) {
      if (part.length === 0) continue;
      this.#groups.unshift(part);
      for (const { name, version } of part) this.#waiting.set(name, version);
    }
  }

  /** One stood alone and was refused. @returns what is not worth a trial any more, usually nothing. */
  found(): readonly Suspect[] {
    this.#found += 1;
    if (this.#found < MAX_FOUND) return [];
    const rest = this.#groups.splice(0).flat();
    this.#waiting.clear();
    return rest;
  }

  /** Who is offered next. Those whose content changed since are left out: they go the usual way. */
  next(current: (name: string) => EncodedResource | undefined): EncodedResource[] {
    for (let group = this.#groups.shift(); group; group = this.#groups.shift()) {
      const offered = group.flatMap((suspect) => {
        if (!this.holds(suspect)) return [];
        this.#waiting.delete(suspect.name);
        const resource = current(suspect.name);
        return resource?.version === suspect.version ? [resource] : [];
      });
      if (offered.length > 0) return offered;
    }
    return [];
  }

  /** SotW: a set that was refused as a whole. */
  refusedSet(version: string): void {
    if (this.pending) this.#refusedSets.add(version);
  }

  /** Offering this set would be offering what was refused: with what was taken since, it tells who is guilty. */
  wasRefused(version: string): boolean {
    return this.#refusedSets.has(version);
  }

  /** It was sent another way. */
  forget(name: string): void {
    if (this.pending) this.#waiting.delete(name);
  }

  /** Once everything was tried, the count begins anew. */
  rest(): void {
    if (this.pending) return;
    this.#found = 0;
    this.#refusedSets.clear();
  }
}
