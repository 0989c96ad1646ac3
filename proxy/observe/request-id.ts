// x-request-id as Envoy's UUID extension makes and keeps it. The 15th character of an id says why a request is
// traced; one from outside must not decide that.
import { randomUUID } from 'node:crypto';
import type { RequestHead } from '../http/request-head.ts';

/** What a connection manager says of request ids. */
export interface RequestIdRules {
  /** Callers from outside are told apart (use_remote_address): their ids are replaced, or kept without a say. */
  readonly edge: boolean;
  /** Ids from outside are kept. */
  readonly preserve: boolean;
}

const NAME = 'x-request-id';
const NAMES = [NAME];
const REASON_AT = 14;
const UUID_LENGTH = 36;
/** Not traced. */
const NO_TRACE = '4';

/** @param inside the caller is one to trust. */
export function stampRequestId(head: RequestHead, rules: RequestIdRules, inside: boolean): void {
  const given = head.header(NAME);
  if (given === '') {
    head.newFields += `\r\n${NAME}: ${randomUUID()}`;
    return;
  }
  if (!rules.edge || inside) return;
  const id = rules.preserve ? withReason(given, NO_TRACE) : randomUUID();
  if (id !== given) setRequestId(head, id);
}

function setRequestId(head: RequestHead, id: string): void {
  head.fields.dropNamed(NAMES);
  head.newFields += `\r\n${NAME}: ${id}`;
}

/** Only of a UUID; any other text stays as it is. */
function withReason(id: string, reason: string): string {
  return id.length === UUID_LENGTH ? id.slice(0, REASON_AT) + reason + id.slice(REASON_AT + 1) : id;
}
