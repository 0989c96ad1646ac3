// x-request-id as Envoy's UUID extension makes and keeps it. The 15th character of an id says why a request is
// traced; one from outside must not decide that.
import { nextUuid } from '../../lib/uuid.ts';
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

/** Why a request is traced, and the character of its id that says so. */
const REASONS = { none: '4', sampled: '9', forced: 'a', client: 'b' } as const;
export type TraceReason = keyof typeof REASONS;

/** @param inside the caller is one to trust. */
export function stampRequestId(head: RequestHead, rules: RequestIdRules, inside: boolean): void {
  const given = head.header(NAME);
  if (given === '') {
    head.newFields += `\r\n${NAME}: ${nextUuid()}`;
    return;
  }
  if (!rules.edge || inside) return;
  const id = rules.preserve ? withReason(given, REASONS.none) : nextUuid();
  if (id !== given) setRequestId(head, id);
}

function setRequestId(head: RequestHead, id: string): void {
  const { newFields } = head;
  const at = newFields.indexOf(`\r\n${NAME}: `);
  if (at >= 0) {
    const end = newFields.indexOf('\r\n', at + 2);
    head.newFields = newFields.slice(0, at) + (end < 0 ? '' : newFields.slice(end));
  } else head.fields.dropNamed(NAMES);
  head.newFields += `\r\n${NAME}: ${id}`;
}

/** Only of a UUID; any other text stays as it is. */
function withReason(id: string, reason: string): string {
  return id.length === UUID_LENGTH ? id.slice(0, REASON_AT) + reason + id.slice(REASON_AT + 1) : id;
}

/** The id that the request goes on with. */
function idOf(head: RequestHead): string {
  const { newFields } = head;
  const at = newFields.indexOf(`\r\n${NAME}: `);
  if (at < 0) return head.header(NAME);
  const from = at + NAME.length + 4;
  const end = newFields.indexOf('\r\n', from);
  return end < 0 ? newFields.slice(from) : newFields.slice(from, end);
}

export function reasonOf(head: RequestHead): TraceReason {
  const id = idOf(head);
  if (id.length !== UUID_LENGTH) return 'none';
  const said = id[REASON_AT];
  if (said === REASONS.sampled) return 'sampled';
  if (said === REASONS.forced) return 'forced';
  return said === REASONS.client ? 'client' : 'none';
}

export function setReason(head: RequestHead, reason: TraceReason): void {
  const id = idOf(head);
  const next = withReason(id, REASONS[reason]);
  if (next !== id) setRequestId(head, next);
}

/** 0…9,999, the same at every proxy that a request passes; -1 when its id is no UUID. */
export function sampleNumber(head: RequestHead): number {
  const id = idOf(head);
  const front = id.length === UUID_LENGTH ? id.slice(0, 8) : '';
  return /^[0-9a-f]{8}$/i.test(front) ? Number.parseInt(front, 16) % 10_000 : -1;
}
