// One session with one ZooKeeper server over the npm client, good until its first fault and then thrown
// away. The client never notices a frozen server, wedges when a connection is cut inside a frame, throws out
// of a socket's event when an answer is odd, and reconnects for ever: here every question has a deadline,
// every parse is guarded, it never reconnects, and close() leaves neither socket nor timer.
import type { Socket } from 'node:net';
import type * as Npm from 'node-zookeeper-client';
import type { Clock } from '../../lib/clock.ts';
import { describeError, toError } from '../../lib/errors.ts';
import { importClient } from '../../lib/import-client.ts';
import { ZOOKEEPER_ANSWER, ZOOKEEPER_DENIED, ZOOKEEPER_UNREACHABLE } from './errors.ts';
import type { Server } from './servers.ts';
import { Watches } from './watches.ts';
import type { OnChange } from './watches.ts';

export interface ZookeeperClient {
  /** HOST:PORT, for messages. */
  readonly server: string;
  /** Never resolves; rejects with the first fault, also with one outside of any question. */
  readonly over: Promise<never>;
  /** undefined: there is no such node. `onChange` is called once, at the next change of the list. */
  children(path: string, onChange?: OnChange): Promise<string[] | undefined>;
  /** undefined: there is no such node. `onChange` is called once, at the next change of the data. */
  data(path: string, onChange?: OnChange): Promise<string | undefined>;
  /** What another client would need to take the session over. */
  session(): { readonly id: Buffer; readonly password: Buffer };
  close(): void;
}

export interface ZookeeperOptions {
  readonly server: Server;
  /** USER:PASSWORD; empty: nobody. */
  readonly auth: string;
  /** Asked for; the server has bounds of its own. It keeps a session of a dead client that long. */
  readonly sessionMs: number;
  /** A question that is not answered by then is a fault. */
  readonly answerMs: number;
  readonly clock: Clock;
}

export type ZookeeperLibrary = typeof Npm;

/** @throws ISTHMUS_CLIENT_MISSING */
export async function zookeeperLibrary(): Promise<ZookeeperLibrary> {
  const load = () => import('node-zookeeper-client');
  const module = await importClient('zookeeper', 'node-zookeeper-client', load);
  return (module as unknown as { readonly default: ZookeeperLibrary }).default;
}

/** Connects at once; questions wait until there is a session. */
export function connectZookeeper(library: ZookeeperLibrary, options: ZookeeperOptions): ZookeeperClient {
  const client = new Session(library, options);
  client.connect();
  return client;
}

/** An answer is put together by copying all of it for each piece: beyond this it would block us. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

class Session implements ZookeeperClient {
  readonly server: string;
  readonly over: Promise<never>;
  readonly #options: ZookeeperOptions;
  readonly #npm: Npm.Client;
  readonly #manager: NpmManager;
  readonly #codes: { readonly NO_NODE: number; readonly NO_AUTH: number };
  #fail: (fault: Error) => void = () => undefined;
  /** It sends who we are after the questions that were asked before the session was there. */
  readonly #connected: Promise<void>;
  #onConnected: () => void = () => undefined;
  #closed = false;

  constructor(library: ZookeeperLibrary, options: ZookeeperOptions) {
    const { server, auth, sessionMs } = options;
    this.#options = options;
    this.server = server.host.includes(':')
      ? `[${server.host}]:${server.port}`
      : `${server.host}:${server.port}`;
    this.over = new Promise<never>((_, reject) => {
      this.#fail = (fault) => {
        reject(fault);
        this.close();
      };
    });
    this.over.catch(() => undefined);
    this.#connected = new Promise((resolve) => {
      this.#onConnected = resolve;
    });
    this.#codes = library.Exception;
    this.#npm = library.createClient('localhost:2181', { sessionTimeout: sessionMs, retries: 0 });
    this.#manager = (this.#npm as unknown as { readonly connectionManager: NpmManager }).connectionManager;
    // Its own parser knows no IPv6.
    this.#manager.servers = [server];
    this.#manager.watcherManager = new Watches();
    if (auth !== '') this.#npm.addAuthInfo('digest', Buffer.from(auth));
    this.#guard(this.#manager);
  }

  connect(): void {
    this.#manager.connect();
  }

  async children(path: string, onChange?: OnChange): Promise<string[] | undefined> {
    return this.#ask<string[]>(path, `the children of ${path}`, (done) =>
      onChange ? this.#npm.getChildren(path, watcher(onChange), done) : this.#npm.getChildren(path, done),
    );
  }

  async data(path: string, onChange?: OnChange): Promise<string | undefined> {
    const data = await this.#ask<Buffer | undefined>(path, `the data of ${path}`, (done) =>
      onChange ? this.#npm.getData(path, watcher(onChange), done) : this.#npm.getData(path, done),
    );
    // A node may be without data.
    return data === undefined ? undefined : (data?.toString() ?? '');
  }

  session(): { readonly id: Buffer; readonly password: Buffer } {
    return { id: this.#npm.getSessionId(), password: this.#npm.getSessionPassword() };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const manager = this.#manager;
    this.#fail(ZOOKEEPER_UNREACHABLE(this.server, 'closed'));
    manager.connect = () => undefined;
    clearTimeout(manager.connectTimeoutHandler ?? undefined);
    const { socket } = manager;
    if (!socket) return;
    socket.setTimeout(0);
    // Saying good-bye frees the session at once, when the server still listens.
    if (manager.state === CONNECTED) socket.write(CLOSE_SESSION, () => socket.destroy());
    else socket.destroy();
    const cancel = this.#options.clock.after(GOOD_BYE_MS, () => socket.destroy());
    socket.once('close', cancel);
  }

  /** Replaces what the client does wrong. */
  #guard(manager: NpmManager): void {
    const connect = manager.connect.bind(manager);
    const onSocketData = manager.onSocketData.bind(manager);
    const onSocketError = manager.onSocketError.bind(manager);
    let said = '';
    manager.connect = () => {
      if (!this.#closed) connect();
    };
    // It would go on to the next server by itself, and connect after it was closed.
    manager.findNextServer = (found) => found(this.#options.server);
    manager.onSocketError = (error) => {
      said = describeError(error);
      onSocketError(error);
    };
    manager.onSocketData = (bytes) => {
      if (this.#closed) return;
      try {
        onSocketData(bytes);
      } catch (thrown) {
        this.#fail(ZOOKEEPER_ANSWER.from(thrown, this.server, 'an answer makes no sense'));
        return;
      }
      if ((manager.pendingBuffer?.length ?? 0) <= MAX_FRAME_BYTES) return;
      this.#fail(ZOOKEEPER_ANSWER(this.server, `an answer longer than ${MAX_FRAME_BYTES} bytes`));
    };
    manager.on('state', (state) => {
      if (state === CONNECTED) this.#onConnected();
      if (state === DISCONNECTED) this.#fail(ZOOKEEPER_UNREACHABLE(this.server, said || 'connection closed'));
      if (state === SESSION_EXPIRED) this.#fail(ZOOKEEPER_UNREACHABLE(this.server, 'session expired'));
      if (state === AUTH_FAILED) this.#fail(ZOOKEEPER_DENIED(this.server, 'anything: it refuses `auth`'));
    });
  }

  /** undefined: no such node. Every other error ends the session. */
  async #ask<T>(
    path: string,
    what: string,
    run: (done: (error: Error | Npm.Exception | null, result: T) => void) => void,
  ): Promise<T | undefined> {
    let cancel: () => void = () => undefined;
    const asked = new Promise<T | undefined>((resolve, reject) => {
      const late = () => reject(ZOOKEEPER_ANSWER(this.server, `no answer to ${what} in time`));
      cancel = this.#options.clock.after(this.#options.answerMs, late);
      const answered = (error: Error | Npm.Exception | null, result: T) => {
        const code = codeOf(error);
        if (!error) resolve(result);
        else if (code === this.#codes.NO_NODE) resolve(undefined);
        else if (code === this.#codes.NO_AUTH) reject(ZOOKEEPER_DENIED(this.server, path));
        else reject(ZOOKEEPER_ANSWER(this.server, `${what}: ${describeError(error)}`));
      };
      this.#connected.then(() => run(answered)).catch(reject);
    });
    try {
      return await Promise.race([asked, this.over]);
    } catch (thrown) {
      this.#fail(toError(thrown));
      // A connection that breaks ends all questions with less telling words.
      return await this.over;
    } finally {
      cancel();
      asked.catch(() => undefined);
    }
  }
}

function codeOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
}

// --- the npm package, as far as it is used -------------------------------------------------------------

interface NpmManager {
  servers: readonly Server[];
  watcherManager: Watches;
  socket: Socket | undefined;
  state: number;
  pendingBuffer: Buffer | null;
  connectTimeoutHandler: NodeJS.Timeout | null;
  connect(): void;
  findNextServer(found: (server: Server) => void): void;
  onSocketData(bytes: Buffer): void;
  onSocketError(error: Error): void;
  on(event: 'state', listener: (state: number) => void): void;
}

/** What is handed to getData() comes back to Watches as it is. */
const watcher = (onChange: OnChange) => onChange as unknown as (event: Npm.Event) => void;

/** Of its ConnectionManager. */
const DISCONNECTED = 0;
const CONNECTED = 2;
const SESSION_EXPIRED = -3;
const AUTH_FAILED = -4;

/** Length, xid, type: ZooKeeper's protocol, "closeSession" (-11). */
const CLOSE_SESSION = Buffer.from([0, 0, 0, 8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf5]);
/** A peer that does not read must not hold the socket. */
const GOOD_BYE_MS = 200;
