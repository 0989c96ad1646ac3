// What filters are made of: each wraps the next handler once, when xDS changes, and from then on only calls
// it. A filter keeps nothing per request in itself, and makes no closure for one.
import type { RequestHead } from '../http/request-head.ts';
import type { Route } from '../route.ts';

/** Told once how a request that it let in came to its end. */
export interface Gate {
  /** @param sinceMs what it was let in with. @param whole it had all of its answer. */
  ended(sinceMs: number, whole: boolean): void;
}

/** One request as filters see it. */
export interface Stream {
  readonly route: Route;
  readonly kept: {
    /** One for each request. */
    counts(by: Gate, sinceMs: number): void;
  };
  /** Ends the request with an answer of the proxy's own. @param fields each as `name: value CRLF`. */
  reply(status: number, text: string, flag: number, fields: string): void;
  /** Calls `next` after `ms` with the same head, unless the request is over by then. @param flag set now. */
  delay(ms: number, flag: number, next: Handler, head: RequestHead): void;
  /** Behind the last filter: chooses a host and sends. */
  forward(head: RequestHead): void;
}

/** `head` is good during the call only. */
export type Handler = (stream: Stream, head: RequestHead) => void;

export type Filter = (next: Handler) => Handler;

/** The filters of a listener with nothing behind them yet. */
export type Chain = (last: Handler) => Handler;

/** In the order in which requests meet them. */
export const chainOf =
  (filters: readonly Filter[]): Chain =>
  (last) =>
    filters.reduceRight((next, filter) => filter(next), last);

/** What stands behind the last filter. */
export const forward: Handler = (stream, head) => stream.forward(head);
