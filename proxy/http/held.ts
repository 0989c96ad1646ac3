// A request that a filter holds back for a while: its head as text, and where it goes on. One per client
// connection, used again.
import type { Handler, Stream } from '../filters/types.ts';
import { RequestHead, parseRequestHead } from './request-head.ts';

/** Read and used up at once, so one is enough. */
const HEAD = new RequestHead();
const REQUEST_ID = ['x-request-id'];

export class HeldRequest {
  #text = '';
  /** What was put on before: an id of the request. */
  #newFields = '';
  #next: Handler | undefined;

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
    HEAD.newFields = this.#newFields;
    if (this.#newFields.includes('\r\nx-request-id: ')) HEAD.fields.dropNamed(REQUEST_ID);
    next(stream, HEAD);
    return true;
  }

  clear(): void {
    this.#next = undefined;
    this.#text = '';
  }
}
