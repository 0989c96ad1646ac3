// What a data plane adds to heads by itself, in Envoy's words: how often a request was tried, what is left of
// its time, how long the upstream took.
import type { Route } from '../route.ts';
import type { HttpRules } from '../tables.ts';
import type { Deadlines } from './deadlines.ts';
import type { StreamTimers } from './timers.ts';
import { applyEdits, applyRewrite } from './edits.ts';
import type { EditFacts } from './edit-rules.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

const COUNT = 'x-envoy-attempt-count';
const EXPECTED = 'x-envoy-expected-rq-timeout-ms';
const SERVICE_TIME = 'x-envoy-upstream-service-time';

const tellsDeadline = (http: HttpRules, { toldMs }: Deadlines): boolean => http.envoyHeaders && toldMs > 0;

/** What the route says of the request's head; takes out what each try says anew. */
export function editRequest(head: RequestHead, route: Route, http: HttpRules, facts: EditFacts): void {
  if (route.rewrite && head.path !== '') applyRewrite(head, route.rewrite);
  if (route.requestEdits) head.newFields += applyEdits(head.fields, route.requestEdits, facts);
  // One from an address that is not to be trusted must not reach the next data plane, which may trust ours.
  if (http.envoyHeaders) head.fields.dropName(EXPECTED);
  if (route.attemptCount?.request) head.fields.dropName(COUNT);
}

export function editResponse(head: ResponseHead, route: Route, facts: EditFacts): void {
  if (route.responseEdits) head.newFields += applyEdits(head.fields, route.responseEdits, facts);
}

/** The whole head of one try. @param head without its final empty line. @param retries made so far. @param done the whole request is here. */
export function headOfTry(
  head: string,
  route: Route,
  http: HttpRules,
  timers: StreamTimers,
  retries: number,
  done: boolean,
): string {
  const counts = route.attemptCount?.request === true;
  const { deadlines } = timers;
  const tells = tellsDeadline(http, deadlines);
  let more = '';
  if (tells) {
    const spentMs = done && retries > 0 ? timers.spentNowMs() : 0;
    const leftMs = deadlines.perTryMs > 0 ? deadlines.toldMs : Math.round(deadlines.toldMs - spentMs);
    more += `${EXPECTED}: ${Math.max(1, leftMs)}\r\n`;
  }
  if (counts) more += `${COUNT}: ${retries + 1}\r\n`;
  // Texts are only joined here: to cut a joined one would copy it.
  return `${head}${more}\r\n`;
}

/** @param ms how long the upstream took; negative: it answered before the request was complete. */
export function tellResponse(
  head: ResponseHead,
  route: Route,
  http: HttpRules,
  attempt: number,
  ms: number,
): void {
  if (http.envoyHeaders) {
    head.fields.dropName(SERVICE_TIME);
    if (ms >= 0) head.newFields += `\r\n${SERVICE_TIME}: ${ms}`;
  }
  if (!route.attemptCount?.response) return;
  head.fields.dropName(COUNT);
  head.newFields += `\r\n${COUNT}: ${attempt}`;
}

/**
 * More of the head of an answer of the proxy's own; each as `name: value CRLF`.
 * @param attempt 0: no upstream was asked.
 */
export function toldLocally(route: Route, attempt: number, facts: EditFacts): string {
  const count = attempt > 0 && route.attemptCount?.response ? `${COUNT}: ${attempt}\r\n` : '';
  if (!route.responseEdits) return count;
  const edited = applyEdits(undefined, route.responseEdits, facts);
  return edited === '' ? count : `${count}${edited.slice(2)}\r\n`;
}
