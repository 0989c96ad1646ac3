// *_headers_to_add and *_headers_to_remove → HeaderEdits; rewrites of path and host → HeadRewrite. Of the
// substitutions in values those of SUBSTITUTIONS are known; any other is refused, since it would be sent as
// it stands.
import type { HeaderValueOption__Output } from '../../proto/gen/types/envoy/config/core/v3/HeaderValueOption.ts';
import { SUBSTITUTIONS } from '../http/edits.ts';
import type { EditFacts, HeaderAdd, HeaderEdits } from '../http/edit-rules.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Framing and routing are not a route's to change here; Host has a field of its own. */
const NOT_EDITABLE = ['host', 'content-length', 'transfer-encoding', 'connection'];
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export interface EditFields {
  readonly request_headers_to_add?: HeaderValueOption__Output[];
  readonly request_headers_to_remove?: string[];
  readonly response_headers_to_add?: HeaderValueOption__Output[];
  readonly response_headers_to_remove?: string[];
}

export const EDIT_FIELDS: readonly (keyof EditFields)[] = [
  'request_headers_to_add',
  'request_headers_to_remove',
  'response_headers_to_add',
  'response_headers_to_remove',
];

export interface Edits {
  readonly request: HeaderEdits | undefined;
  readonly response: HeaderEdits | undefined;
}

/** @throws FieldRefusal */
export function compileEdits(fields: EditFields): Edits {
  return { request: editsOf(fields, 'request'), response: editsOf(fields, 'response') };
}

function editsOf(fields: EditFields, side: 'request' | 'response'): HeaderEdits | undefined {
  const [toAdd, toRemove] = [`${side}_headers_to_add`, `${side}_headers_to_remove`] as const;
  const add = (fields[toAdd] ?? []).map((option, i) => within(`${toAdd}[${i}]`, () => compileAdd(option)));
  const remove = (fields[toRemove] ?? []).map((name, i) =>
    within(`${toRemove}[${i}]`, () => headerName(name, 'name')),
  );
  return add.length + remove.length === 0 ? undefined : { add, remove };
}

export function compileAdd(option: HeaderValueOption__Output): HeaderAdd {
  assertOnly(option, ['header', 'append', 'append_action', 'keep_empty_value']);
  const header = option.header ?? {};
  within('header', () => assertOnly(header, ['key', 'value']));
  const value = compileValue(header.value ?? '');
  return {
    name: headerName(header.key ?? '', 'header.key'),
    mode: modeOf(option),
    value,
    ...(option.keep_empty_value && { keepsEmpty: true }),
  };
}

function modeOf({ append, append_action: action }: HeaderValueOption__Output): HeaderAdd['mode'] {
  if (append) return append.value === true ? 'append' : 'overwrite';
  switch (action) {
    case 'ADD_IF_ABSENT':
      return 'if-absent';
    case 'OVERWRITE_IF_EXISTS_OR_ADD':
      return 'overwrite';
    case 'OVERWRITE_IF_EXISTS':
      return 'if-present';
    case 'APPEND_IF_EXISTS_OR_ADD':
    case undefined:
  }
  return 'append';
}

function headerName(text: string, field: string): string {
  const name = text.toLowerCase();
  if (!NAME.test(name)) throw new FieldRefusal(field, `"${text}" is no header name`);
  if (NOT_EDITABLE.includes(name)) throw new FieldRefusal(field, `${name} cannot be changed`);
  return name;
}

function compileValue(text: string): (facts: EditFacts) => string {
  if (!VALUE.test(text)) throw new FieldRefusal('header.value', 'has a control character');
  const parts = text.split(/(%[^%]*%)/).filter((part) => part !== '');
  const read = parts.map((part): string | ((facts: EditFacts) => string) => {
    if (part === '%%') return '%';
    if (!part.includes('%')) return part;
    const found = SUBSTITUTIONS.get(part.slice(1, -1));
    if (!found) throw new FieldRefusal('header.value', `${part} is not supported`);
    return found;
  });
  if (read.every((part) => typeof part === 'string')) {
    const whole = read.join('');
    return () => whole;
  }
  return (facts) => read.map((part) => (typeof part === 'string' ? part : part(facts))).join('');
}
