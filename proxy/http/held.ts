// What filters keep of a request: one that waits, its head as text and where it goes on; and who counts it while it is
// in flight. One per client connection, used again.
import type { Gate, Handler, Stream } from '../filters/types.ts';
import { dropReplaced } from '../observe/propagation.ts';
import { RequestHead, parseRequestHead } from './request-head.ts';

/** Read and used up at once, so one is enough. */
const HEAD = new RequestHead();
const REQUEST_ID = ['x-request-id'];

/** Of a head that was read once more: what had been put on it, in place of what came under those names. */
export function putBack(head: RequestHead, newFields: string): void {
  head.newFields = newFields;
  if (newFields.includes('\r\nx-request-id: ')) head.fields.dropNamed(REQUEST_ID);
  dropReplaced(head, newFields);
}

export class KeptByFilters {
  #text = '';
  /** What was put on before: an id of the request, a span. */
  #newFields = '';
  #next: Handler | undefined;
  #gate: Gate | undefined;
  #sinceMs = 0;

  hold(head: RequestHead, next: Handler): void {
    this.#text = head.fields.text;
    this.#newFields = head.newFields;
    this.#next = next;
  }

  /** Goes on where it was held. False when nothing was. */
  release(stream: Stream): boolean {
    const next = this.#next;
    if (!next) return false;
    this.#next = undefined;
    parseRequestHead(this.#text, HEAD);
    putBack(HEAD, this.#newFields);
    next(stream, HEAD);
    return true;
  }

  counts(by: Gate, sinceMs: number): void {
    this.#gate = by;
    this.#sinceMs = sinceMs;
  }

  /** The request is over. @param whole it had all of its answer. */
  end(whole: boolean): void {
    this.#next = undefined;
    this.#text = '';
    const gate = this.#gate;
    if (!gate) return;
    this.#gate = undefined;
    gate.ended(this.#sinceMs, whole);
  }
}
