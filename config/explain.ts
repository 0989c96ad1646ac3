// Turns what the schema says into what a person can use: "expected …, got …", "did you mean …".
import { z } from 'zod';
import { configSchema, sourceSchema } from './schema.ts';
import { didYouMean } from './suggest.ts';
import type { FieldPath } from './problems.ts';

export interface Complaint {
  readonly path: FieldPath;
  readonly message: string;
  /** The fault is the field's name, not its value. */
  readonly atKey: boolean;
}

/** Kinds of sources that a config may name. */
export const SOURCE_KINDS: readonly string[] = sourceSchema.options.map((option) => option.shape.kind.value);

/** Every complaint of one issue (an issue may name several unknown fields). */
export function explainIssue(
  issue: z.core.$ZodIssue,
  data: unknown,
  schema: z.ZodType = configSchema,
): readonly Complaint[] {
  const path = issue.path.filter((part) => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const known = fieldsAt(path, data, schema);
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: `unknown field${didYouMean(key, known)}`,
      atKey: true,
    }));
  }
  if (issue.code === 'invalid_key') {
    const key = path.at(-1);
    return issue.issues.map((inner) => ({ path, message: messageOf(inner, key), atKey: true }));
  }
  return [{ path, message: hideSecret(messageOf(issue, valueAt(data, path)), path), atKey: false }];
}

const SECRETS: readonly FieldPath[number][] = ['token', 'password', 'auth'];

/** A secret of the wrong form must not end up in a log: everything from "got" on goes. */
function hideSecret(message: string, path: FieldPath): string {
  return path.some((part) => SECRETS.includes(part)) ? message.replace(/got .*$/s, 'got (hidden)') : message;
}

function messageOf(issue: z.core.$ZodIssue, value: unknown): string {
  if (value === undefined && issue.code === 'invalid_type') return `missing (${nounOf(issue.expected)})`;
  if (issue.code === 'invalid_type') return `expected ${nounOf(issue.expected)}, got ${show(value)}`;
  if (issue.code === 'invalid_value') {
    return `unknown value ${show(value)}${didYouMean(String(value), issue.values.map(String))}`;
  }
  if (issue.code === 'invalid_union') {
    return value === undefined
      ? `missing (one of ${SOURCE_KINDS.join(', ')})`
      : `expected one of ${SOURCE_KINDS.join(', ')}, got ${show(value)}`;
  }
  if (issue.code === 'too_small') {
    return issue.origin === 'string' ? 'must not be empty' : 'needs at least one entry';
  }
  if (issue.code === 'custom' || issue.code === 'invalid_format') {
    return `expected ${issue.message}; got ${show(value)}`;
  }
  return issue.message;
}

function nounOf(expected: string): string {
  const nouns: Record<string, string> = {
    object: 'a mapping',
    array: 'a list',
    string: 'text',
    boolean: 'true or false',
    number: 'a number',
  };
  return nouns[expected] ?? expected;
}

/** A value as it would stand in the file, short; a mapping or list only by its kind. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  // A URL may carry a user's password.
  const text = (JSON.stringify(value) ?? 'nothing').replace(/\/\/[^/@"]*@/g, '//(hidden)@');
  return text.length > 80 ? `${text.slice(0, 77)}…"` : text;
}

export function valueAt(data: unknown, path: FieldPath): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[part] : undefined,
    data,
  );
}

/** Names of the fields that may stand at `path`. */
export function fieldsAt(path: FieldPath, data: unknown, root: z.ZodType = configSchema): readonly string[] {
  let schema: unknown = root;
  path.forEach((part, depth) => {
    schema = step(unwrap(schema), part, valueAt(data, path.slice(0, depth + 1)));
  });
  const found = unwrap(schema);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

function step(schema: unknown, part: string | number, value: unknown): unknown {
  if (schema instanceof z.ZodObject) return (schema.shape as Record<string, unknown>)[part];
  if (!(schema instanceof z.ZodArray)) return undefined;
  if (schema.element !== sourceSchema) return schema.element;
  const kind = valueAt(value, ['kind']);
  return sourceSchema.options.find((option) => option.shape.kind.value === kind);
}

function unwrap(schema: unknown): unknown {
  let inner = schema;
  while (inner instanceof z.ZodPrefault || inner instanceof z.ZodDefault || inner instanceof z.ZodOptional) {
    inner = inner.unwrap();
  }
  return inner;
}
