// What one registry holds, kept beside it, and what a catalogue may say of it while news is on its way. Pure.
import { DEFAULT_MARK, idOf } from '../support/hands/hand.ts';
import type { Instance } from '../support/hands/hand.ts';

/** SERVICE ADDRESS:PORT → mark; undefined: the mark cannot be seen, as another source speaks for it. */
export type Held = ReadonlyMap<string, string | undefined>;

export const keyOf = (service: string, instance: Instance): string => `${service} ${idOf(instance)}`;

export class Truth {
  #services = new Map<string, readonly Instance[]>();
  #must = new Set<string>();
  #may = new Set<string>();

  /** Call before the registry is changed: from now on both the old and the new may be seen. */
  set(service: string, instances: readonly Instance[]): void {
    this.#services.set(service, instances);
    const now = this.now();
    for (const key of this.#must) if (!now.has(key)) this.#must.delete(key);
    for (const key of now.keys()) this.#may.add(key);
  }

  /** Call when the truth was seen whole: only that is right from now on. */
  settle(): void {
    this.#must = new Set(this.now().keys());
    this.#may = new Set(this.#must);
  }

  now(): ReadonlyMap<string, string> {
    const all = new Map<string, string>();
    for (const [service, instances] of this.#services) {
      for (const one of instances) all.set(keyOf(service, one), one.mark ?? DEFAULT_MARK);
    }
    return all;
  }

  /** What is wrong whatever is on its way: something vanished that was there all along, or came from nowhere. */
  wrongs(seen: Held): readonly string[] {
    return [
      ...[...this.#must].filter((key) => !seen.has(key)).map((key) => `${key} has vanished`),
      ...[...seen.keys()].filter((key) => !this.#may.has(key)).map((key) => `${key} came from nowhere`),
    ];
  }

  /** How far it is from the truth of now; nothing: it is equal. */
  differences(seen: Held): readonly string[] {
    return compare(this.now(), seen);
  }
}

export function compare(truth: ReadonlyMap<string, string>, seen: Held): readonly string[] {
  const found: string[] = [];
  for (const [key, mark] of truth) {
    const other = seen.get(key);
    if (!seen.has(key)) found.push(`${key} is missing`);
    else if (other !== undefined && other !== mark) found.push(`${key} has ${other} instead of ${mark}`);
  }
  for (const key of seen.keys()) if (!truth.has(key)) found.push(`${key} is too much`);
  return found;
}

/** The same for what a registry itself answers. */
export function heldOf(services: ReadonlyMap<string, readonly Instance[]>): Held {
  const all = new Map<string, string>();
  for (const [service, instances] of services) {
    for (const one of instances) all.set(keyOf(service, one), one.mark ?? DEFAULT_MARK);
  }
  return all;
}
