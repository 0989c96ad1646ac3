// The upstream hosts of the soak: small servers of this process that can be made to die, freeze, reset, fail and
// be slow, and that come back on the same port. Each keeps the times at which it was well.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sleep } from '../../../lib/clock.ts';
import { Timeline } from './oracle.ts';
import type { Witness } from './oracle.ts';

export const BAD_STATES = ['dead', 'frozen', 'resets', 'fails'] as const;
export type HostState = 'up' | 'slow' | (typeof BAD_STATES)[number];

const isWell = (state: HostState): boolean => state === 'up' || state === 'slow';
/** Slow hosts take up to this. */
const SLOW_MS = 200;
const LISTEN_AGAIN_MS = 50;

export class SoakHost implements Witness {
  readonly name: string;
  readonly well: Timeline<boolean>;
  readonly told: Timeline<boolean>;
  readonly #held = new Set<ServerResponse>();
  #server: Server | undefined;
  #state: HostState = 'up';
  #stopped = false;
  port = 0;
  served = 0;

  constructor(name: string, told: boolean) {
    this.name = name;
    this.well = new Timeline(false, performance.now());
    this.told = new Timeline(told, performance.now());
  }

  get state(): HostState {
    return this.#state;
  }

  async start(): Promise<void> {
    await this.#listen();
    this.well.set(true, performance.now());
  }

  /** Resolves when it is so. While it is on its way it counts as bad. */
  async become(state: HostState): Promise<void> {
    if (!isWell(state) || !isWell(this.#state)) this.well.set(false, performance.now());
    const before = this.#state;
    this.#state = state;
    // What it was asked while it was frozen is never answered.
    if (before === 'frozen') for (const response of this.#held) response.socket?.destroy();
    if (state === 'dead') await this.#close();
    else if (before === 'dead') await this.#listen();
    if (isWell(state)) this.well.set(true, performance.now());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#close();
  }

  /** Another program's connection may have the port for a moment. */
  async #listen(): Promise<void> {
    while (!this.#stopped) {
      const server = createServer((request, response) => this.#onRequest(request, response));
      server.keepAliveTimeout = 600_000;
      const listening = await new Promise<boolean>((resolve) => {
        server.once('error', () => resolve(false));
        server.listen(this.port, '127.0.0.1', () => resolve(true));
      });
      if (listening) {
        this.#server = server;
        this.port = (server.address() as AddressInfo).port;
        return;
      }
      await sleep(LISTEN_AGAIN_MS, new AbortController().signal);
    }
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    let size = 0;
    request.on('data', (bytes: Buffer) => (size += bytes.length));
    request.on('error', () => undefined);
    response.on('close', () => this.#held.delete(response));
    request.on('end', () => this.#answer(response, size));
  }

  #answer(response: ServerResponse, size: number): void {
    const text = `${this.name} ${size}`;
    switch (this.#state) {
      case 'up':
        this.served += 1;
        return void response.end(text);
      case 'slow':
        this.#held.add(response);
        return void setTimeout(() => response.end(text), Math.random() * SLOW_MS);
      case 'fails':
        return void response.writeHead(503).end();
      case 'resets':
        return void response.socket?.resetAndDestroy();
      case 'frozen':
      case 'dead':
        this.#held.add(response);
    }
  }
}
