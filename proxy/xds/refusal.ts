// Why a resource cannot be used. Compilers throw a FieldRefusal that names the field; the store catches it
// and answers the server with a NACK. A refusal never ends the stream or the process.
import { defineError } from '../../lib/errors.ts';

/** Thrown by the compilers: `field` is the path inside the resource, in proto spelling. */
export class FieldRefusal extends Error {
  readonly field: string;

  constructor(field: string, why: string) {
    super(`${field}: ${why}`);
    this.name = 'FieldRefusal';
    this.field = field;
  }
}

export const XDS_REFUSED = defineError(
  'ISTHMUS_PROXY_XDS_REFUSED',
  (problems: readonly string[]) => problems.join('; '),
  { hint: 'The last good configuration keeps serving. Correct the resource on the control plane.' },
);

/** Runs a compiler on a part of a message and puts the part's path before the refused field's. */
export function within<T>(path: string, compile: () => T): T {
  try {
    return compile();
  } catch (thrown) {
    if (!(thrown instanceof FieldRefusal)) throw thrown;
    const why = thrown.message.slice(thrown.field.length + 2);
    throw new FieldRefusal(`${path}.${thrown.field}`, why);
  }
}

/**
 * Refuses the first field that is set and not among `known`: what is not read must not be ignored where it
 * decides who gets traffic. Scalars at their default count as not set.
 * @throws FieldRefusal
 */
export function assertOnly(message: object, known: readonly string[]): void {
  for (const [field, value] of Object.entries(message)) {
    if (!known.includes(field) && !isDefault(value)) throw new FieldRefusal(field, 'not supported');
  }
}

/** Values 0 of the enums that are refused otherwise, for senders that write them out. */
const DEFAULT_NAMES: ReadonlySet<unknown> = new Set([
  'METADATA_NO_FALLBACK',
  'NOT_DEFINED',
  'USE_CONFIGURED_PROTOCOL',
  'PASS_THROUGH_INTERNAL_REDIRECT',
  'OFF',
  'OVERRIDE',
]);

function isDefault(value: unknown): boolean {
  return (
    value === undefined ||
    value === false ||
    value === 0 ||
    value === '' ||
    value === '0' ||
    DEFAULT_NAMES.has(value) ||
    isEmpty(value)
  );
}

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;
