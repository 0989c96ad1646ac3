// A client's connection, read into one buffer that all connections share. Node has that (`onread`) for connections
// that one opens; what comes on an accepted one it reads into 64 KiB of new memory each time, which costs more than
// to parse it. So the handle of an accepted socket goes to a second socket, made with `onread`. `_handle` and the
// option `handle` are not documented: where they are not as expected, the socket is read the usual way.
import { Socket } from 'node:net';
import type { OnReadOpts, SocketConstructorOpts } from 'node:net';

/** @param bytes whose first `length` ones are new; good only during the call. */
export type Take = (bytes: Buffer, length: number) => void;

interface Handle {
  readonly useUserBuffer?: unknown;
}

/**
 * Hands what comes on `socket` to `take`, later.
 * @param socket accepted with allowHalfOpen; its options, like no-delay, stay. @param buffer to read into.
 * @returns the socket to go on with: `socket`, or the one that has taken its place.
 */
export function readShared(socket: Socket, buffer: Buffer, take: Take): Socket {
  const handle = detach(socket);
  if (!handle) return socket.on('data', (bytes: Buffer) => take(bytes, bytes.length));
  const callback = (length: number): boolean => {
    take(buffer, length);
    return true;
  };
  const options: SocketConstructorOpts & { handle: Handle; onread: OnReadOpts } = {
    handle,
    allowHalfOpen: true,
    onread: { buffer, callback },
  };
  return new Socket(options);
}

/** undefined: it is something else than a plain socket, or somebody has read from it. */
function detach(socket: Socket): Handle | undefined {
  const fresh = socket.constructor === Socket && socket.readableFlowing === null && socket.bytesRead === 0;
  const inner = socket as unknown as { _handle?: Handle | null };
  const handle = inner._handle;
  if (!fresh || !handle || typeof handle.useUserBuffer !== 'function') return undefined;
  inner._handle = null;
  // Without its handle it closes nothing; its server stops counting it.
  socket.destroy();
  return handle;
}
