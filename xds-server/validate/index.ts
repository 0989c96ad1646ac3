// Nothing that a data plane would refuse leaves this server: what is generated is checked before it is
// encoded, by the rules that the .proto files carry (protoc-gen-validate) and by those of semantics.ts.
// A message that breaks one is refused as a whole, with all its problems; whoever builds it keeps the last
// good one.
import { defineError } from '../../lib/errors.ts';
import { messageType } from '../../proto/codec.ts';
import { checkMessage } from './messages.ts';

export const RESOURCE_INVALID = defineError(
  'ISTHMUS_XDS_RESOURCE_INVALID',
  (what: string, problems: readonly string[]) => `${what} would be refused: ${problems.join('; ')}`,
  {
    hint: 'The last good one stays in force. If the config is right, this is a fault of Isthmus: report it.',
  },
);

/** A resource has few fields: more problems than these are one problem many times. */
const MAX_PROBLEMS = 10;

/** `PATH: RULE` for each problem, at most ten. @param name of the message type. Throws when it cannot be decoded. */
export function problemsOf(name: string, bytes: Uint8Array): string[] {
  const type = messageType(name);
  const problems: string[] = [];
  checkMessage(type, type.decode(bytes), '', reportTo(problems));
  return problems;
}

const reportTo = (problems: string[]) => (path: string, problem: string) => {
  if (problems.length < MAX_PROBLEMS) problems.push(`${path}: ${problem}`);
};

/**
 * Like encode(). @param label names the resource in the error.
 * Throws ISTHMUS_XDS_RESOURCE_INVALID when the message breaks a rule.
 */
export function encodeValid<T extends object>(name: string, message: T, label: string): Buffer {
  const type = messageType(name);
  const made = type.fromObject(message);
  const problems: string[] = [];
  checkMessage(type, made, '', reportTo(problems));
  if (problems.length > 0) throw RESOURCE_INVALID(`${type.name} ${label}`, problems);
  return Buffer.from(type.encode(made).finish());
}

/**
 * Of a template: the message with its variable parts filled in somehow.
 * Throws ISTHMUS_XDS_RESOURCE_INVALID when the message breaks a rule.
 */
export function assertValid<T extends object>(name: string, message: T, label: string): void {
  encodeValid(name, message, label);
}
