// The way of a response from the upstream to the client: what is told of it, what its head says of the connection, and
// whether the upstream has to wait. Which response it is was decided before; what ends the exchange is its business.
import type { UpstreamConnection } from '../upstream/connection.ts';
import { forwardedResponse } from './response-head.ts';
import type { ResponseHead } from './response-head.ts';
import type { StreamParts } from './stream-parts.ts';
import { Due } from './timers.ts';

const NO_BYTES = Buffer.alloc(0);

/** 100–199; the answer itself follows. */
export function passInterim(x: StreamParts, head: ResponseHead): void {
  x.stir();
  x.tries.settle();
  // HTTP/1.0 knows no interim responses.
  if (!x.http10) x.client.sendHead(forwardedResponse(head, false), NO_BYTES, 0, 0);
}

/**
 * The head, and what came with it of the body.
 * @param connection it comes from. @param done that is all of it. @returns false when the client reads too slowly.
 */
export function passHead(
  x: StreamParts,
  head: ResponseHead,
  connection: UpstreamConnection | undefined,
  bytes: Buffer,
  from: number,
  to: number,
  done: boolean,
): boolean {
  x.stir(x.context.wheel.lastMs);
  x.status = head.status;
  x.timers.disarm(Due.request);
  x.body.forget();
  x.untilClose = !done && connection?.untilClose === true;
  // A response that overtakes its request: what is left of the request is not worth waiting for.
  x.closeAfter = x.clientCloses || x.client.closing || !x.body.done || x.untilClose;
  tell(x, head);
  const answer = forwardedResponse(head, x.closeAfter);
  x.notes.responded(answer, connection);
  return x.client.sendHead(answer, bytes, from, to);
}

/** More of the body; result as of passHead(). */
export function passBody(
  x: StreamParts,
  connection: UpstreamConnection | undefined,
  bytes: Buffer,
  from: number,
  to: number,
): boolean {
  x.stir();
  x.notes.body(connection);
  return to === from || x.client.sendBody(bytes, from, to);
}

/** No HTTP any more, and no further try. */
export function passSwitch(
  x: StreamParts,
  head: ResponseHead,
  bytes: Buffer,
  from: number,
  to: number,
): void {
  const { attempt } = x.tries;
  x.stir();
  x.tries.settle();
  x.timers.disarm(Due.request);
  x.status = head.status;
  x.closeAfter = true;
  tell(x, head);
  const text = x.switching.switched(attempt, x.body, x.client, head);
  x.notes.responded(text, attempt.connection);
  if (!x.client.sendHead(text, bytes, from, to)) attempt.connection?.pause();
}

function tell(x: StreamParts, head: ResponseHead): void {
  const ms = x.body.done ? x.timers.spentMs() : -1;
  x.tries.tell(head, x.route, x.http, ms, x.facts);
}
