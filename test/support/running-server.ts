// What the two back ends (process, container) have in common: one started server that faults can be done to.

/** How to start one server. */
export interface ServerSpec {
  readonly name: string;
  /** Full path of the binary (process). */
  readonly binary: string;
  readonly image: string;
  readonly network: 'mapped' | 'host';
  /** Ports on this machine by name; kept over restarts. */
  readonly hostPorts: Readonly<Record<string, number>>;
  /** Ports inside a container with mapped ports, by name. */
  readonly innerPorts: Readonly<Record<string, number>>;
  /** Files in its folder, written before the first start: name → content. */
  readonly files: Readonly<Record<string, string>>;
  /** Its folder as the server sees it. */
  readonly dir: string;
  readonly args: readonly string[];
}

export interface RunningServer {
  /** undefined in a container. */
  readonly pid: number | undefined;
  /** True after it ended by itself or by kill(). */
  readonly ended: boolean;
  /** It keeps its sockets and answers nothing. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same data and ports; kills it first if need be. Does not wait until it is ready. */
  restart(): Promise<void>;
  /** The same without anything it had: its folder is as before its first start. */
  restartEmpty(): Promise<void>;
  /** Kills it and removes its data. */
  stop(): Promise<void>;
  /** Text of a file in its folder. */
  readFile(name: string): Promise<string>;
  /** The last part of what it printed. */
  log(): string;
}

/** Keeps the last 64 Ki characters of a server's output. */
export class LogTail {
  static readonly LIMIT = 65_536;
  #text = '';

  append(chunk: string): void {
    this.#text += chunk;
    if (this.#text.length > 2 * LogTail.LIMIT) this.#text = this.#text.slice(-LogTail.LIMIT);
  }

  toString(): string {
    return this.#text.slice(-LogTail.LIMIT);
  }
}
