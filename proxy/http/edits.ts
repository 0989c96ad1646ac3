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
  let added = '';
  for (const { remove, add } of levels) {
    for (const name of remove) added = drop(fields, added, name);
    for (const one of add) added = addOne(fields, added, one, facts);
  }
  return added;
}

/** @param added the new fields so far. @returns those and this one. */
function addOne(fields: FieldIndex | undefined, added: string, one: HeaderAdd, facts: EditFacts): string {
  const { name, mode, value, keepsEmpty } = one;
  if (mode === 'if-absent' || mode === 'if-present') {
    const present = (fields?.get(name) ?? '') !== '' || added.includes(`\r\n${name}: `);
    if (present !== (mode === 'if-present')) return added;
  }
  const before = mode === 'overwrite' || mode === 'if-present' ? drop(fields, added, name) : added;
  const text = value(facts);
  return text === '' && !keepsEmpty ? before : `${before}\r\n${name}: ${text}`;
}

/** Drops all of a name, of the fields that came and of the new ones; returns what is left of these. */
function drop(fields: FieldIndex | undefined, added: string, name: string): string {
  fields?.dropName(name);
  if (added === '') return added;
  return added
    .split('\r\n')
    .filter((line) => !line.startsWith(`${name}: `))
    .join('\r\n');
}

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
