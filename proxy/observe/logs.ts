// The log files of one data plane, one for each path, whoever logs there. A file that no listener names any
// more is written out and closed.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LogFile } from './log-file.ts';
import type { LogFileOptions } from './log-file.ts';
import type { AccessLogRule } from './rules.ts';

export interface LogCounts {
  readonly written: number;
  readonly dropped: number;
}

export class AccessLogs {
  readonly #options: LogFileOptions;
  readonly #files = new Map<string, LogFile>();
  #written = 0;
  #dropped = 0;
  #closing: Promise<unknown>[] = [];

  constructor(options: LogFileOptions) {
    this.#options = options;
  }

  file(path: string): LogFile {
    const known = this.#files.get(path);
    if (known) return known;
    const file = new LogFile(path, this.#options);
    this.#files.set(path, file);
    return file;
  }

  /** Lets go of the files that are not among those of `rules`. */
  keep(rules: Iterable<AccessLogRule>): void {
    const named = new Set<string>();
    for (const { path } of rules) named.add(path);
    for (const [path, file] of this.#files) {
      if (named.has(path)) continue;
      this.#files.delete(path);
      this.#closing.push(this.#end(file));
    }
  }

  reopen(): void {
    for (const file of this.#files.values()) file.reopen();
  }

  get counts(): LogCounts {
    let [written, dropped] = [this.#written, this.#dropped];
    for (const file of this.#files.values()) {
      written += file.written;
      dropped += file.dropped;
    }
    return { written, dropped };
  }

  /** Writes everything out, also what connections say that are just being closed. */
  async close(): Promise<void> {
    await nextTurn();
    this.keep([]);
    await Promise.all(this.#closing.splice(0));
  }

  async #end(file: LogFile): Promise<void> {
    await file.close();
    this.#written += file.written;
    this.#dropped += file.dropped;
  }
}
