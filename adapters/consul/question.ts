// One question to Consul: a deadline, a signal, and patience. A 429 holds up every question of the client
// for as long as Consul asks; a refused token is read again from its file before it counts as refused.
// It does not know what is asked, and it does not loop beyond that.
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { backoff } from '../../lib/backoff.ts';
import type { Backoff } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';
import { toError } from '../../lib/errors.ts';
import {
  Hold,
  MAX_RETRY_AFTER_MS,
  PATIENCE_MS,
  readRetryAfter,
  withRetryAfter,
} from '../../lib/retry-after.ts';
import type { ConsulAccess } from './access.ts';
import { CONSUL_BUSY, explainAnswer } from './errors.ts';
import type { Asked, NpmError } from './errors.ts';
import type { NpmCall } from './npm.ts';

export interface Ask {
  /** '0' answers at once; an index waits up to `waitMs` for a change. */
  readonly index: string;
  readonly waitMs: number;
  /** Only by a leader that has read all of its log; for sources with `consistency: default`. */
  readonly consistent?: boolean;
  /** An answer that is not whole by then (after the wait) is an error. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

export interface RawAnswer {
  readonly response: IncomingMessage;
  readonly data: unknown;
}

/** Times that one question is put off before it counts as a fault. */
const MAX_PUT_OFF = 5;

export class Asker {
  readonly #access: ConsulAccess;
  readonly #clock: Clock;
  readonly #asked: Asked;
  readonly #backoff: Backoff = backoff({ baseMs: 1_000, maxMs: 15_000 });
  readonly #hold: Hold;

  /** @param hold kept from client to client. */
  constructor(access: ConsulAccess, clock: Clock, asked: Asked, hold = new Hold(clock)) {
    this.#access = access;
    this.#clock = clock;
    this.#asked = asked;
    this.#hold = hold;
  }

  /**
   * @param what for messages, such as `service orders`.
   * @param maxPutOff 0: asks at once, and a 429 is a fault.
   * @throws the signal's reason; ISTHMUS_CONSUL_…; the connection's own error.
   */
  async ask(what: string, call: NpmCall, ask: Ask, maxPutOff = MAX_PUT_OFF): Promise<RawAnswer> {
    let putOff = 0;
    let waitedMs = 0;
    let refused = '';
    for (;;) {
      ask.signal.throwIfAborted();
      if (maxPutOff > 0) await this.#hold.over(ask.signal);
      const { token } = this.#access;
      try {
        const answer = await once(call, ask);
        this.#backoff.reset();
        return answer;
      } catch (thrown) {
        ask.signal.throwIfAborted();
        const error: NpmError = toError(thrown);
        const status = error.response?.statusCode;
        if (status === 429) {
          putOff += 1;
          const ms = this.#putOff(error.response);
          waitedMs += ms;
          if (putOff > maxPutOff || waitedMs > PATIENCE_MS)
            throw withRetryAfter(CONSUL_BUSY.from(error, what, putOff), ms);
        } else if (status !== 403 || refused !== '' || !(await this.#hasOtherToken(token))) {
          throw explainAnswer(error, what, this.#asked);
        } else {
          refused = token;
        }
      }
    }
  }

  async #hasOtherToken(refused: string): Promise<boolean> {
    return (await this.#access.refresh()) || this.#access.token !== refused;
  }

  /** For how long: milliseconds. */
  #putOff(response: IncomingMessage | undefined): number {
    const said = readRetryAfter(response?.headers['retry-after'], this.#clock.now());
    const ms = Math.min(MAX_RETRY_AFTER_MS, said ?? this.#backoff.next());
    this.#hold.put(ms);
    return ms;
  }
}

async function once(call: NpmCall, ask: Ask): Promise<RawAnswer> {
  const blocking = ask.index !== '0';
  // Consul adds up to a sixteenth of the wait by itself, to spread the load.
  const timeout = ask.deadlineMs + (blocking ? Math.ceil((ask.waitMs * 17) / 16) : 0);
  const ctx = Object.assign(new EventEmitter(), { includeResponse: true });
  const cancel = () => ctx.emit('cancel');
  ask.signal.addEventListener('abort', cancel, { once: true });
  try {
    const query = blocking ? { index: ask.index, wait: `${ask.waitMs}ms` } : {};
    const [response, data] = (await call({ ctx, timeout, ...query })) as [IncomingMessage, unknown];
    return { response, data };
  } finally {
    ask.signal.removeEventListener('abort', cancel);
  }
}
