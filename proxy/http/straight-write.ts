// Writes to a socket without Node's Writable, which costs a request object, a tick and a dozen calls for each write,
// although the system nearly always takes all of it at once. What it does not take waits in libuv as always, and until
// it has left everything goes through the Writable, behind it: order, half-close and errors are as there.
// `_handle` and `process.binding` are not documented: where they are not as expected, Node writes as usual.
import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';

/** Answers 0 or the negative code of an error. */
interface Handle {
  writeLatin1String(request: WriteRequest, text: string): number;
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
}

/** Used again until a write was not done at once; then libuv has it, and what is written must stay as it is. */
interface WriteRequest {
  oncomplete?: (status: number) => void;
  /** Kept from the collector. */
  buffer?: Buffer;
}

interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Int32Array;
  readonly kLastWriteWasAsync: number;
}

/** Messages up to this size are put together in one piece of memory, which all sockets share. */
const SPARE_BYTES = 16 * 1024;

/** What all writers share: made by the first one. */
class Spare {
  readonly #wrap: StreamWrap;
  request: WriteRequest;
  bytes = Buffer.allocUnsafeSlow(SPARE_BYTES);

  constructor(wrap: StreamWrap) {
    this.#wrap = wrap;
    this.request = new wrap.WriteWrap();
  }

  /** Whether the last write is not done yet. */
  get waits(): boolean {
    return this.#wrap.streamBaseState[this.#wrap.kLastWriteWasAsync] !== 0;
  }

  /** The request is libuv's now. */
  giveRequest(): WriteRequest {
    const { request } = this;
    this.request = new this.#wrap.WriteWrap();
    return request;
  }

  giveBytes(): void {
    this.bytes = Buffer.allocUnsafeSlow(SPARE_BYTES);
  }
}

let spare: Spare | undefined;
let looked = false;

function spareOf(): Spare | undefined {
  if (looked) return spare;
  looked = true;
  const wrap = streamWrap();
  return (spare = wrap && new Spare(wrap));
}

function streamWrap(): StreamWrap | undefined {
  const { binding } = process as unknown as { binding?: (name: string) => Partial<StreamWrap> };
  try {
    const found = binding?.('stream_wrap');
    const known =
      typeof found?.WriteWrap === 'function' &&
      found.streamBaseState instanceof Int32Array &&
      typeof found.kLastWriteWasAsync === 'number';
    return known ? (found as StreamWrap) : undefined;
  } catch {
    // Node's permission model refuses it.
    return undefined;
  }
}

export class StraightWriter {
  readonly #socket: Socket & { readonly _handle?: Handle | null };
  readonly #onDrain: () => void;
  readonly #spare: Spare | undefined;
  /** Bytes of the write that was not done at once. */
  #waiting = 0;

  /** @param onDrain what was written has left, after a write that answered false; for this, 'drain' is listened to. */
  constructor(socket: Socket, onDrain: () => void) {
    this.#socket = socket;
    this.#onDrain = onDrain;
    socket.on('drain', onDrain);
    const { _handle: handle } = this.#socket;
    const known = typeof handle?.writeLatin1String === 'function' && typeof handle.writeBuffer === 'function';
    this.#spare = known ? spareOf() : undefined;
  }

  /** Bytes that were written and have not left. */
  get unsent(): number {
    return this.#waiting + this.#socket.writableLength;
  }

  /** The next write has to wait for onDrain. */
  get full(): boolean {
    return this.#waiting > 0 || this.#socket.writableNeedDrain;
  }

  /** @param text one character a byte. @returns false when the queue is full: wait for onDrain. */
  text(text: string): boolean {
    const handle = this.#handle();
    const shared = this.#spare;
    if (!handle || !shared) {
      return (this.#socket.write(text, 'latin1') || this.#socket.writableLength === 0) && this.#waiting === 0;
    }
    const error = handle.writeLatin1String(shared.request, text);
    return (error === 0 && !shared.waits) || this.#left(shared, error, text.length, undefined);
  }

  /** @param bytes stay as they are for ever. Result as of text(). */
  bytes(bytes: Buffer): boolean {
    const handle = this.#handle();
    const shared = this.#spare;
    if (!handle || !shared) {
      return (this.#socket.write(bytes) || this.#socket.writableLength === 0) && this.#waiting === 0;
    }
    const error = handle.writeBuffer(shared.request, bytes);
    return (error === 0 && !shared.waits) || this.#left(shared, error, bytes.length, bytes);
  }

  /** `head` and a copy of [from, to) of `bytes`, in one write. Result as of text(). */
  joined(head: string, bytes: Buffer, from: number, to: number): boolean {
    const length = head.length + to - from;
    const handle = length > SPARE_BYTES ? undefined : this.#handle();
    const shared = this.#spare;
    const into = handle && shared ? shared.bytes : Buffer.allocUnsafe(length);
    if (head !== '') into.write(head, 0, head.length, 'latin1');
    bytes.copy(into, head.length, from, to);
    if (!handle || !shared) return this.bytes(into);
    const piece = into.subarray(0, length);
    const error = handle.writeBuffer(shared.request, piece);
    if (error === 0 && !shared.waits) return true;
    shared.giveBytes();
    return this.#left(shared, error, length, piece);
  }

  /** undefined: the Writable must do it. */
  #handle(): Handle | undefined {
    const socket = this.#socket;
    if (this.#spare === undefined || this.#waiting > 0 || !socket.writable || socket.connecting)
      return undefined;
    if (socket.writableLength > 0) return undefined;
    return socket._handle ?? undefined;
  }

  /** The write failed, or some of it waits. */
  #left(shared: Spare, error: number, length: number, buffer: Buffer | undefined): boolean {
    const request = shared.giveRequest();
    if (error !== 0) {
      this.#fail(error);
      return true;
    }
    this.#waiting = length;
    if (buffer) request.buffer = buffer;
    request.oncomplete = (status) => {
      this.#waiting = 0;
      if (status < 0) this.#fail(status);
      else if (!this.#socket.destroyed && !this.#socket.writableNeedDrain) this.#onDrain();
    };
    return false;
  }

  #fail(error: number): void {
    if (this.#socket.destroyed) return;
    const code = getSystemErrorName(error);
    this.#socket.destroy(Object.assign(new Error(`write ${code}`), { code }));
  }
}
