// A log file or standard output: lines are kept in memory, written in batches by one write at a time, and dropped and
// counted when the disk does not keep up. Never blocks who logs; a fault of the disk is told once, not per line.
import { close, open, write } from 'node:fs';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

export interface LogFileOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Lines wait this long at most. Default 1,000 ms. */
  readonly flushMs?: number;
  /** So much is written at once. Default 64 KiB. */
  readonly batchBytes?: number;
  /** What may wait in memory; beyond it lines are dropped. Default 4 MiB. */
  readonly maxBytes?: number;
}

const DEFAULTS = { flushMs: 1_000, batchBytes: 64 * 1024, maxBytes: 4 * 1024 * 1024 };
const RETRY_MS = 1_000;
/** Where `-` and /dev/stdout go. */
const STDOUT = 1;
const STDERR = 2;
const STREAMS: ReadonlyMap<string, number> = new Map([
  ['-', STDOUT],
  ['/dev/stdout', STDOUT],
  ['/dev/fd/1', STDOUT],
  ['/dev/stderr', STDERR],
  ['/dev/fd/2', STDERR],
]);

export class LogFile {
  readonly path: string;
  readonly #options: LogFileOptions & typeof DEFAULTS;
  readonly #standard: number | undefined;
  #fd: number | undefined;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #writing = false;
  #reopen = false;
  #closing = false;
  #failed = false;
  #cancelFlush: (() => void) | undefined;
  #onIdle: (() => void)[] = [];
  /** Lines written, and lines that never were. */
  written = 0;
  dropped = 0;

  constructor(path: string, options: LogFileOptions) {
    this.path = path;
    this.#options = { ...DEFAULTS, ...options };
    this.#standard = STREAMS.get(path);
    this.#fd = this.#standard;
  }

  /** @param line with its end. Latin-1 bytes of heads stay as they came. */
  add(line: string): void {
    if (this.#closing || this.#waitingBytes + line.length > this.#options.maxBytes) {
      this.dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#waitingBytes >= this.#options.batchBytes) this.#flush();
    else this.#cancelFlush ??= this.#options.clock.after(this.#options.flushMs, () => this.#flush());
  }

  /** Another file may be behind the path now (log rotation): what comes goes there. */
  reopen(): void {
    if (this.#standard !== undefined) return;
    this.#reopen = true;
    this.#flush();
  }

  /** Writes what waits. Resolves when it is written, or was dropped because it cannot be. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#flush();
    if (this.#writing) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    this.#cancelFlush?.();
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined && this.#standard === undefined) closeQuietly(fd);
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#writing) return;
    if (this.#waiting.length === 0 && !this.#reopen) return this.#idle();
    this.#writing = true;
    if (this.#reopen && this.#fd !== undefined) {
      closeQuietly(this.#fd);
      this.#fd = undefined;
    }
    this.#reopen = false;
    if (this.#fd !== undefined) return this.#write(this.#fd);
    // Read by nobody else: a line may hold what callers sent.
    open(this.path, 'a', 0o640, (error, fd) => {
      if (error) return this.#onFault(error);
      this.#fd = fd;
      this.#write(fd);
    });
  }

  #write(fd: number): void {
    const lines = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const bytes = Buffer.from(lines.join(''), 'latin1');
    this.#writeFrom(fd, bytes, 0, lines.length);
  }

  #writeFrom(fd: number, bytes: Buffer, from: number, lines: number): void {
    write(fd, bytes, from, bytes.length - from, null, (error, count) => {
      if (error?.code === 'EAGAIN') {
        // A pipe that is full (standard output): its reader is slow. Lines pile up meanwhile, and are bounded.
        if (this.#closing) return this.#onLost(error, lines);
        this.#options.clock.after(10, () => this.#writeFrom(fd, bytes, from, lines));
        return;
      }
      if (error) return this.#onLost(error, lines);
      if (from + count < bytes.length) return this.#writeFrom(fd, bytes, from + count, lines);
      this.written += lines;
      this.#failed = false;
      this.#writing = false;
      this.#flush();
    });
  }

  #onLost(error: Error, lines: number): void {
    this.dropped += lines;
    this.#onFault(error);
  }

  /** What waits is kept for the next try, up to the limit. */
  #onFault(error: Error): void {
    if (!this.#failed) {
      this.#options.log.error({ path: this.path, cause: describeError(error) }, 'access log not written');
    }
    this.#failed = true;
    this.#writing = false;
    if (!this.#closing) {
      this.#cancelFlush ??= this.#options.clock.after(RETRY_MS, () => this.#flush());
      return;
    }
    this.dropped += this.#waiting.length;
    this.#waiting = [];
    this.#idle();
  }

  #idle(): void {
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}

/** Nothing is to be done about a file that cannot be closed. */
function closeQuietly(fd: number): void {
  close(fd, () => undefined);
}
