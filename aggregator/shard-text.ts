// A shard as text: the one form in which it lies in the file of last known good and in the bucket that replicas
// share. What is written today must be read by every later Isthmus, so test/unit/aggregator/shard-text.test.ts has
// each form that ever was. Pure.
import { NO_MARKS } from '../model/shard.ts';
import type { EndpointMark, Shard } from '../model/shard.ts';

/** JSON on one line. Parts that say nothing are left out. */
export function shardText({ group, since, marks, lost }: Shard): string {
  return JSON.stringify({
    group,
    since,
    ...(marks.size === 0 ? {} : { marks: [...marks] }),
    ...(lost === undefined ? {} : { lost }),
  });
}

/** Trusted: whoever reads it has compared a checksum. @throws SyntaxError for what is no JSON. */
export function shardFrom(text: string): Shard {
  const { group, since, marks, lost } = JSON.parse(text) as Omit<Shard, 'marks'> & {
    readonly marks?: readonly (readonly [string, EndpointMark])[];
  };
  return {
    group,
    since,
    marks: marks && marks.length > 0 ? new Map(marks) : NO_MARKS,
    ...(lost === undefined ? {} : { lost }),
  };
}
