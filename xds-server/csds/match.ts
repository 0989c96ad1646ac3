// Which nodes a request for client status means: envoy.type.matcher.v3.NodeMatcher, of which one is enough.
import { defineError } from '../../lib/errors.ts';
import type { Node__Output } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { NodeMatcher__Output } from '../../proto/gen/types/envoy/type/matcher/v3/NodeMatcher.ts';
import type { StringMatcher__Output } from '../../proto/gen/types/envoy/type/matcher/v3/StringMatcher.ts';
import type { StructMatcher__Output } from '../../proto/gen/types/envoy/type/matcher/v3/StructMatcher.ts';
import type { ValueMatcher__Output } from '../../proto/gen/types/envoy/type/matcher/v3/ValueMatcher.ts';
import type { Value__Output } from '../../proto/gen/types/google/protobuf/Value.ts';

export const MATCHER_NOT_OFFERED = defineError(
  'ISTHMUS_XDS_MATCHER_NOT_OFFERED',
  (what: string) => `node_matchers: ${what} is not offered`,
  { hint: 'Match by exact, prefix, suffix or contains, or by values of the metadata.' },
);

/** No matcher means every node. Throws ISTHMUS_XDS_MATCHER_NOT_OFFERED. */
export function matchesNode(matchers: readonly NodeMatcher__Output[], node: Node__Output): boolean {
  return matchers.length === 0 || matchers.some((matcher) => matchesOne(matcher, node));
}

function matchesOne(
  { node_id: id, node_metadatas: metadatas = [] }: NodeMatcher__Output,
  node: Node__Output,
) {
  if (id && !matchesText(id, node.id ?? '')) return false;
  return metadatas.every((metadata) => matchesMetadata(metadata, node));
}

function matchesMetadata({ path = [], value: wanted }: StructMatcher__Output, node: Node__Output): boolean {
  let value: Value__Output | undefined = {
    kind: 'structValue',
    structValue: node.metadata ?? { fields: {} },
  };
  for (const { key = '' } of path) {
    const fields: Readonly<Record<string, Value__Output>> = value?.structValue?.fields ?? {};
    value = Object.hasOwn(fields, key) ? fields[key] : undefined;
  }
  return wanted ? matchesValue(wanted, value) : false;
}

type Judge = (wanted: ValueMatcher__Output, value: Value__Output | undefined) => boolean;

const JUDGES: Readonly<Record<NonNullable<ValueMatcher__Output['match_pattern']>, Judge>> = {
  null_match: (_, value) => value?.kind === 'nullValue',
  bool_match: (wanted, value) => value?.kind === 'boolValue' && value.boolValue === wanted.bool_match,
  present_match: (wanted, value) => (value !== undefined) === wanted.present_match,
  string_match: (wanted, value) =>
    value?.kind === 'stringValue' && matchesText(wanted.string_match ?? {}, value.stringValue ?? ''),
  list_match: (wanted, value) =>
    (value?.listValue?.values ?? []).some((one) => matchesValue(wanted.list_match?.one_of ?? {}, one)),
  or_match: (wanted, value) =>
    (wanted.or_match?.value_matchers ?? []).some((one) => matchesValue(one, value)),
  double_match: (wanted, value) => matchesNumber(wanted.double_match ?? {}, value),
};

function matchesValue(wanted: ValueMatcher__Output, value: Value__Output | undefined): boolean {
  return wanted.match_pattern ? JUDGES[wanted.match_pattern](wanted, value) : false;
}

function matchesNumber(
  { exact, range }: NonNullable<ValueMatcher__Output['double_match']>,
  value: Value__Output | undefined,
): boolean {
  if (value?.kind !== 'numberValue') return false;
  const number = Number(value.numberValue);
  if (range) return number >= Number(range.start ?? 0) && number < Number(range.end ?? 0);
  return number === Number(exact);
}

function matchesText(matcher: StringMatcher__Output, text: string): boolean {
  const fold = (one = '') => (matcher.ignore_case ? one.toLowerCase() : one);
  const pattern = matcher.match_pattern;
  if (pattern === 'exact') return fold(text) === fold(matcher.exact);
  if (pattern === 'prefix') return fold(text).startsWith(fold(matcher.prefix));
  if (pattern === 'suffix') return fold(text).endsWith(fold(matcher.suffix));
  if (pattern === 'contains') return fold(text).includes(fold(matcher.contains));
  // A regular expression of ours would not be safe: one can keep Node busy for ever.
  throw MATCHER_NOT_OFFERED(pattern ?? 'an empty matcher');
}
