// Connections of which is not known yet whether they speak HTTP. Each is read until it tells, and handed over with
// all that it said: to the listener's HTTP, to a TCP listener that owns no socket, or to nobody. A client that waits
// for the server's first word is taken for TCP once its time is over.
import type { Socket } from 'node:net';
import { WheelTimer } from '../../lib/timer-wheel.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import type { TcpListener } from '../tcp/listener.ts';
import { spokenIn } from './protocol.ts';
import type { Spoken } from './protocol.ts';
import type { SniffRules } from '../tables.ts';

export interface Takers {
  http(socket: Socket): void;
  /** undefined: the table has none. */
  readonly tcp: TcpListener | undefined;
}

const NO_BYTES = Buffer.alloc(0);

export class Undecided {
  readonly #wheel: TimerWheel;
  readonly #open = new Map<Socket, () => void>();

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Ends them all: nothing of theirs was passed on. */
  close(): void {
    for (const [socket, forget] of this.#open) {
      forget();
      socket.destroy();
    }
  }

  take(socket: Socket, rules: SniffRules, takers: Takers): void {
    let heard: Buffer = NO_BYTES;
    const timer = new WheelTimer(() => (rules.goOn ? decide('other') : over()));
    const forget = () => {
      this.#open.delete(socket);
      this.#wheel.disarm(timer);
      socket.removeListener('data', onData).removeListener('end', over).removeListener('close', forget);
    };
    const over = () => {
      forget();
      socket.destroy();
    };
    const decide = (spoken: Spoken) => {
      forget();
      socket.pause();
      if (heard.length > 0) socket.unshift(heard);
      hand(socket, spoken, rules, takers);
    };
    const onData = (bytes: Buffer) => {
      heard = heard.length === 0 ? bytes : Buffer.concat([heard, bytes]);
      const spoken = spokenIn(heard);
      if (spoken) decide(spoken);
    };
    this.#open.set(socket, forget);
    // 'close' follows; without a listener the process would end.
    socket.on('error', () => undefined);
    socket.on('close', forget);
    // It ended before it could be told: closed, as Envoy does.
    socket.on('end', over);
    socket.on('data', onData);
    if (rules.timeoutMs > 0) this.#wheel.arm(timer, rules.timeoutMs);
  }
}

function hand(socket: Socket, spoken: Spoken, rules: SniffRules, takers: Takers): void {
  if (rules.http.has(spoken)) {
    takers.http(socket);
    socket.resume();
  } else if (rules.tcp && takers.tcp && rules.others.has(spoken)) takers.tcp.accept(socket);
  else socket.destroy();
}
