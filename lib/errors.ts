// One way to make errors: a stable code, the message, what to do about it, and the cause. docs/errors.md
// lists every code; a test compares the two.
import { inspect } from 'node:util';

export class IsthmusError extends Error {
  readonly code: string;
  /** What the reader can do; '' when the message says it all. */
  readonly hint: string;

  constructor(code: string, message: string, options: { readonly hint: string; readonly cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'IsthmusError';
    this.code = code;
    this.hint = options.hint;
  }
}

export interface ErrorDefinition<A extends readonly unknown[]> {
  readonly code: string;
  (...args: A): IsthmusError;
  /** The same with the error that led to it. */
  from(cause: unknown, ...args: A): IsthmusError;
}

/**
 * @param code `ISTHMUS_…`, never changed once released.
 * @param message builds the text from the values that were wrong.
 */
export function defineError<A extends readonly unknown[]>(
  code: `ISTHMUS_${string}`,
  message: (...args: A) => string,
  options: { readonly hint?: string } = {},
): ErrorDefinition<A> {
  const hint = options.hint ?? '';
  const make = (...args: A) => new IsthmusError(code, message(...args), { hint });
  const from = (cause: unknown, ...args: A) => new IsthmusError(code, message(...args), { hint, cause });
  return Object.assign(make, { code, from });
}

/** Any thrown value as an Error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(textOf(thrown));
}

/** One line for a log or a table: the message and the chain of causes, without repeats. */
export function describeError(thrown: unknown): string {
  const parts: string[] = [];
  let error: unknown = thrown;
  for (let depth = 0; error !== undefined && depth < 5; depth += 1) {
    const text = messageOf(error);
    if (text !== '' && !parts.some((p) => p.includes(text))) parts.push(text);
    error = error instanceof Error ? error.cause : undefined;
  }
  return parts.join(': ').replace(/\s+/g, ' ');
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join(', ');
  return error instanceof Error ? error.message || error.name : textOf(error);
}

/** String() itself throws for an object without a prototype. */
function textOf(thrown: unknown): string {
  return typeof thrown === 'string' ? thrown : inspect(thrown);
}
