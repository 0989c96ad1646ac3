// Changes that a route makes to a head: fields added or taken away, another path or host. Compiled when xDS
// changes; per request it marks fields and joins texts.
import { Flag, flagText } from '../flags.ts';
import type { FieldIndex } from './fields.ts';
import { Known } from './fields.ts';
import type { EditFacts, HeadRewrite, HeaderAdd, HeaderEdits } from './edit-rules.ts';
import type { RequestHead } from './request-head.ts';

/** Values by the name of the substitution, without the percent signs. */
export const SUBSTITUTIONS: ReadonlyMap<string, (facts: EditFacts) => string> = new Map([
  // Envoy sets these two only behind the head of its answer.
  ['RESPONSE_FLAGS', (facts: EditFacts) => flagText(facts.flags & ~(Flag.DT | Flag.RL))],
  ['UPSTREAM_CLUSTER', (facts: EditFacts) => facts.cluster],
  ['UPSTREAM_HOST', (facts: EditFacts) => facts.upstream],
  ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', (facts: EditFacts) => facts.client],
]);

/**
 * Marks what goes and returns what is new, each as `CRLF name: value`.
 * @param fields undefined: an answer of the proxy's own, which has no other fields.
 */
export function applyEdits(
  fields: FieldIndex | undefined,
  levels: readonly HeaderEdits[],
  facts: EditFacts,
): string {
  const added: string[] = [];
  for (const { remove, add } of levels) {
    for (const name of remove) drop(fields, added, name);
    for (const one of add) addOne(fields, added, one, facts);
  }
  return added.length === 1 ? (added[0] ?? '') : added.join('');
}

function addOne(fields: FieldIndex | undefined, added: string[], one: HeaderAdd, facts: EditFacts): void {
  const { name, mode, value } = one;
  if (mode === 'if-absent' || mode === 'if-present') {
    const present = (fields?.get(name) ?? '') !== '' || added.some((line) => isLine(line, name));
    if (present !== (mode === 'if-present')) return;
  }
  if (mode === 'overwrite' || mode === 'if-present') drop(fields, added, name);
  const text = value(facts);
  if (text !== '') added.push(`\r\n${name}: ${text}`);
}

function drop(fields: FieldIndex | undefined, added: string[], name: string): void {
  fields?.dropName(name);
  for (let i = added.length - 1; i >= 0; i -= 1) if (isLine(added[i] ?? '', name)) added.splice(i, 1);
}

const isLine = (line: string, name: string): boolean => line.startsWith(`\r\n${name}: `);

/** Changes request line and Host; what was there before goes along as Envoy tells it. */
export function applyRewrite(head: RequestHead, { path, host }: HeadRewrite): void {
  if (path) {
    const before = head.path;
    head.path = path(before);
    if (head.path !== before) {
      head.newLine = `${head.method} ${head.path} HTTP/1.${head.http10 ? 0 : 1}`;
      head.fields.dropName('x-envoy-original-path');
      head.newFields += `\r\nx-envoy-original-path: ${before}`;
    }
  }
  if (host === undefined) return;
  for (let i = 0; i < head.fields.count; i += 1) if (head.fields.kind(i) === Known.host) head.fields.drop(i);
  head.newFields = head.newFields.replace(/\r\nhost: [^\r]*/, '');
  head.newFields += `\r\nhost: ${host}`;
}
