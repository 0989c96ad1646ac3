// `include.services` of a source: which of its services take part. One meaning for every kind.
import { splitServiceName } from '../model/names.ts';

/**
 * True for a canonical service name that one of `patterns` matches, as a whole (`orders.default`) or by
 * its bare name (`orders`). `*` stands for any text, `?` for one character; case does not matter.
 */
export function serviceFilter(patterns: readonly string[]): (service: string) => boolean {
  const tests = patterns.map(wildcard);
  const matches = (text: string) => tests.some((test) => test.test(text));
  return (service) => matches(service) || matches(splitServiceName(service).name);
}

/** A pattern of `*` and `?` as an expression for the whole text. */
function wildcard(pattern: string): RegExp {
  const source = pattern.replace(/[\\^$.|+()[\]{}*?]/g, (char) => {
    if (char === '*') return '.*';
    return char === '?' ? '.' : `\\${char}`;
  });
  return new RegExp(`^${source}$`, 'is');
}
