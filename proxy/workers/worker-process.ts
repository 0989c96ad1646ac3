// One worker as its parent sees it: started, up (its admin API can be asked), ready (it serves), gone.
import type { Worker } from 'node:cluster';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import { isWorkerSays } from './messages.ts';
import type { WorkerHears } from './messages.ts';

const STOPS = 'the proxy stops';

export class WorkerProcess {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #bornMs: number;
  #onReady: (() => void) | undefined;
  ready = false;
  /** 0 before its admin API listens. */
  adminPort = 0;
  /** Resolves with how it ended, for people. */
  readonly exited: Promise<string>;

  constructor(worker: Worker, clock: Clock) {
    this.#worker = worker;
    this.#clock = clock;
    this.#bornMs = clock.monotonic();
    this.exited = new Promise((resolve) => {
      worker.once('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : `exit code ${code}`));
      // One that could not be started never exits; a channel that breaks is followed by the end of the process.
      worker.on('error', (thrown) => {
        if (worker.process.pid === undefined) resolve(describeError(thrown));
      });
    });
    worker.on('message', (message: unknown) => {
      if (!isWorkerSays(message)) return;
      if (message.isthmus === 'up') this.adminPort = message.adminPort;
      else {
        this.ready = true;
        this.#onReady?.();
      }
    });
  }

  get pid(): number {
    return this.#worker.process.pid ?? 0;
  }

  get ageMs(): number {
    return this.#clock.monotonic() - this.#bornMs;
  }

  tell(what: WorkerHears): void {
    if (this.#worker.isConnected()) this.#worker.send(what);
  }

  /** Nothing when it is gone already. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#worker.process.kill(signal);
  }

  /** @returns '' when it is ready, else why it will not be. */
  async whenReady(withinMs: number, signal: AbortSignal): Promise<string> {
    if (this.ready) return '';
    if (signal.aborted) return STOPS;
    let cancel: () => void = () => undefined;
    let onAbort: () => void = () => undefined;
    const late = new Promise<string>((resolve) => {
      cancel = this.#clock.after(withinMs, () =>
        resolve(`the new one is not ready after ${withinMs / 1000} s`),
      );
      onAbort = () => resolve(STOPS);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    const ready = new Promise<string>((resolve) => {
      this.#onReady = () => resolve('');
    });
    const died = this.exited.then((cause) => `the new one died (${cause})`);
    try {
      return await Promise.race([ready, late, died]);
    } finally {
      cancel();
      signal.removeEventListener('abort', onAbort);
    }
  }
}
