// The way out of one stream: one message at a time, and the next one is made only when the client's flow
// control has taken the last. So a slow reader costs one message, and a change that comes meanwhile nothing.
import { constants } from 'node:http2';
import type { ServerHttp2Stream } from 'node:http2';
import type { ServerDuplexStream } from '@grpc/grpc-js';

/** Of a call, what is beneath it: the library has no other way to end one whose client takes no bytes. */
interface Beneath {
  readonly call?: { readonly stream?: Pick<ServerHttp2Stream, 'close' | 'destroyed'> };
}

export class Outlet {
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #now: () => number;
  readonly #onFree: () => void;
  #bytes = 0;
  #since = 0;
  /** Size of the first message; 0 before it. */
  firstBytes = 0;
  /** The client has taken the first message. */
  started = false;

  /** @param now monotonic ms. @param onFree the client took what was sent; never called within send(). */
  constructor(call: ServerDuplexStream<Buffer, Buffer>, now: () => number, onFree: () => void) {
    this.#call = call;
    this.#now = now;
    this.#onFree = onFree;
  }

  /** Nothing is on its way. */
  get free(): boolean {
    return this.#bytes === 0;
  }

  /** Bytes that the client has not taken. */
  get unsent(): number {
    return this.#bytes;
  }

  /** For how long the client has taken nothing although something was sent, ms. */
  get stalledMs(): number {
    return this.free ? 0 : this.#now() - this.#since;
  }

  send(bytes: Buffer): void {
    this.#bytes = bytes.length;
    this.#since = this.#now();
    if (this.firstBytes === 0) this.firstBytes = bytes.length;
    this.#call.write(bytes, () => {
      this.#bytes = 0;
      this.started = true;
      this.#onFree();
    });
  }

  /** Resets the stream, which frees what the client did not take. It sees UNAVAILABLE (gRPC's HTTP/2 mapping). */
  cut(): void {
    const stream = (this.#call as unknown as Beneath).call?.stream;
    if (stream && !stream.destroyed) stream.close(constants.NGHTTP2_REFUSED_STREAM);
    this.#call.destroy();
  }
}
