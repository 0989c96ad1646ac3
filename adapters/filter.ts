// `include.services` of a source: which of its services take part. One meaning for every kind.
import { splitServiceName } from '../model/names.ts';
import { wildcard } from './wildcard.ts';

/**
 * True for a canonical service name that one of `patterns` matches, as a whole (`orders.default`) or by
 * its bare name (`orders`). `*` stands for any text, `?` for one character; case does not matter.
 */
export function serviceFilter(patterns: readonly string[]): (service: string) => boolean {
  const tests = patterns.map((pattern) => wildcard(pattern, { ignoreCase: true }));
  const matches = (text: string) => tests.some((test) => test.test(text));
  return (service) => matches(service) || matches(splitServiceName(service).name);
}
