// From two states of a shard to the lines of the journal, and back: forwards from nothing, backwards from now.
// Pure.
import { isDeepStrictEqual } from 'node:util';
import type { Cause, Change, EndpointWord } from '../../model/change.ts';
import { endpointKey } from '../../model/endpoint.ts';
import type { Shard } from '../../model/shard.ts';

/** By endpointKey(): what the catalogue has of one source's service. */
export type Words = ReadonlyMap<string, EndpointWord>;

export interface ChangeOf {
  readonly at: number;
  readonly source: string;
  readonly service: string;
  readonly cause: Cause;
}

/** One change per endpoint that came, went, or of which something else is said or decided; by key. */
export function changesBetween(
  before: Shard | undefined,
  after: Shard | undefined,
  of: ChangeOf,
): readonly Change[] {
  const was = wordsOf(before);
  const is = wordsOf(after);
  const changes: Change[] = [];
  for (const key of [...new Set([...was.keys(), ...is.keys()])].sort()) {
    const [old, now] = [was.get(key), is.get(key)];
    if (isDeepStrictEqual(old, now)) continue;
    changes.push({ ...of, key, ...(old ? { before: old } : {}), ...(now ? { after: now } : {}) });
  }
  return changes;
}

export function wordsOf(shard: Shard | undefined): Words {
  const words = new Map<string, EndpointWord>();
  if (!shard) return words;
  for (const endpoint of shard.group.endpoints) {
    const key = endpointKey(endpoint);
    const mark = shard.marks.get(key);
    words.set(key, mark ? { endpoint, mark } : { endpoint });
  }
  return words;
}

/** The state after `changes`, which are in the order in which they happened. */
export function replay(words: Words, changes: Iterable<Change>): Words {
  const state = new Map(words);
  for (const { key, after } of changes) {
    if (key === undefined) continue;
    if (after) state.set(key, after);
    else state.delete(key);
  }
  return state;
}

/** The state before `changes`, which are in the order in which they happened. */
export function undo(words: Words, changes: readonly Change[]): Words {
  const state = new Map(words);
  for (const { key, before } of changes.toReversed()) {
    if (key === undefined) continue;
    if (before) state.set(key, before);
    else state.delete(key);
  }
  return state;
}
