// Stands between an Envoy and its control plane and tells when a piece of news was acknowledged: the first message
// of the client, on the stream that brought the news, after the bytes that hold it. Reads HTTP/2 frames (RFC 9113, 4.1)
// and passes every byte on as it came.
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEAD = 9;
const DATA = 0;
/** News may lie across two frames. */
const KEPT = 64;

export interface AckRelay {
  readonly port: number;
  /** Resolves with performance.now() of the ACK. @param news text that no other response holds. */
  acked(news: string, signal: AbortSignal): Promise<number>;
  stop(): Promise<void>;
}

/** Calls `take` with each DATA frame. */
class Frames {
  #rest: Buffer = Buffer.alloc(0);
  #prefaced: boolean;
  readonly #take: (stream: number, data: Buffer) => void;

  constructor(fromClient: boolean, take: (stream: number, data: Buffer) => void) {
    this.#prefaced = !fromClient;
    this.#take = take;
  }

  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#prefaced) {
      if (this.#rest.length < PREFACE.length) return;
      this.#rest = this.#rest.subarray(PREFACE.length);
      this.#prefaced = true;
    }
    while (this.#rest.length >= HEAD) {
      const end = HEAD + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) return;
      if (this.#rest[3] === DATA && end > HEAD) {
        this.#take(this.#rest.readUInt32BE(5) & 0x7fffffff, this.#rest.subarray(HEAD, end));
      }
      this.#rest = this.#rest.subarray(end);
    }
  }
}

export async function startAckRelay(target: () => number): Promise<AckRelay> {
  let wanted: { readonly news: Buffer; readonly seen: () => void } | undefined;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const onward = connect(target(), '127.0.0.1');
    sockets.add(client);
    for (const one of [client, onward]) one.setNoDelay(true).on('error', () => undefined);
    client.once('close', () => (sockets.delete(client), onward.destroy()));
    onward.once('close', () => client.destroy());
    const tails = new Map<number, Buffer>();
    let newsOn: number | undefined;
    const toClient = new Frames(false, (stream, data) => {
      const text = Buffer.concat([tails.get(stream) ?? Buffer.alloc(0), data]);
      tails.set(stream, text.subarray(-KEPT));
      if (wanted && text.includes(wanted.news)) newsOn = stream;
    });
    const toServer = new Frames(true, (stream) => {
      if (stream !== newsOn) return;
      newsOn = undefined;
      wanted?.seen();
    });
    client.on('data', (chunk: Buffer) => {
      toServer.push(chunk);
      onward.write(chunk);
    });
    onward.on('data', (chunk: Buffer) => {
      toClient.push(chunk);
      client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    acked: (news, signal) =>
      new Promise((resolve, reject) => {
        const fail = () => reject(new Error(`nobody was told of ${news} in time`));
        signal.addEventListener('abort', fail, { once: true });
        const seen = () => {
          signal.removeEventListener('abort', fail);
          wanted = undefined;
          resolve(performance.now());
        };
        wanted = { news: Buffer.from(news), seen };
      }),
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
