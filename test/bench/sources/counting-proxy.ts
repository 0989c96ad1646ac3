// A TCP proxy in front of a registry that counts what goes through: connections, requests, bytes. It changes
// nothing and knows only enough of a protocol to see where a request begins.
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

/** Called with what a client sends; a new one for each connection. Returns requests that begin in it. */
export type RequestCounter = () => (bytes: Buffer) => number;

export interface Counts {
  readonly requests: number;
  /** From the registry. */
  readonly bytes: number;
  /** At the most at once, since the last reset. */
  readonly mostConnections: number;
}

export class CountingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #requests = 0;
  #bytes = 0;
  #open = 0;
  #most = 0;

  constructor(targetPort: number, counter: RequestCounter) {
    this.#server = createServer((client) => this.#accept(client, targetPort, counter()));
  }

  /** Its port. */
  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** What was counted since the last time. */
  take(): Counts {
    const counts = { requests: this.#requests, bytes: this.#bytes, mostConnections: this.#most };
    this.#requests = 0;
    this.#bytes = 0;
    this.#most = this.#open;
    return counts;
  }

  #accept(client: Socket, targetPort: number, count: (bytes: Buffer) => number): void {
    const server = connect(targetPort, '127.0.0.1');
    this.#open += 1;
    this.#most = Math.max(this.#most, this.#open);
    for (const socket of [client, server]) {
      socket.setNoDelay();
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    }
    client.on('close', () => {
      this.#open -= 1;
      server.destroy();
    });
    server.on('close', () => client.destroy());
    client.on('data', (bytes: Buffer) => (this.#requests += count(bytes)));
    server.on('data', (bytes: Buffer) => (this.#bytes += bytes.length));
    client.pipe(server);
    server.pipe(client);
  }
}

/** HTTP/1.1 without pipelining and without bodies: one request begins where a client speaks. */
export const httpRequests: RequestCounter = () => (bytes) =>
  /^(GET|POST|PUT|DELETE) /.test(bytes.toString('latin1', 0, 8)) ? 1 : 0;

/** One request each, whatever is in it. */
export const connections: RequestCounter = () => {
  let first = true;
  return () => {
    const begins = first ? 1 : 0;
    first = false;
    return begins;
  };
};

/** ZooKeeper: each message has its length in four bytes before it. */
export const zookeeperRequests: RequestCounter = () => {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    let all = Buffer.concat([rest, bytes]);
    let requests = 0;
    while (all.length >= 4 && all.length >= 4 + all.readInt32BE(0)) {
      all = all.subarray(4 + all.readInt32BE(0));
      requests += 1;
    }
    rest = all;
    return requests;
  };
};

const PREFACE = 24;
const FRAME_HEAD = 9;
const HEADERS = 1;

/** HTTP/2 (gRPC): HEADERS frames of a client begin a request, and nothing else does. */
export const http2Requests: RequestCounter = () => {
  let rest = Buffer.alloc(0);
  let preface = PREFACE;
  return (bytes) => {
    let all = Buffer.concat([rest, bytes]);
    const skipped = Math.min(preface, all.length);
    all = all.subarray(skipped);
    preface -= skipped;
    let requests = 0;
    while (all.length >= FRAME_HEAD && all.length >= FRAME_HEAD + all.readUIntBE(0, 3)) {
      if (all[3] === HEADERS) requests += 1;
      all = all.subarray(FRAME_HEAD + all.readUIntBE(0, 3));
    }
    rest = all;
    return requests;
  };
};
