// What a listener does with the records of its requests: writes them to its logs. Made when xDS changes; a
// listener that logs nothing has none.
import type { Clock } from '../../lib/clock.ts';
import type { AccessLogs } from './logs.ts';
import { LogView } from './record.ts';
import type { StreamRecord } from './record.ts';
import type { AccessLogRule } from './rules.ts';

/** What the listeners of one data plane share. */
export interface ObserveEnv {
  readonly clock: Clock;
  readonly logs: AccessLogs;
  /** Logs of every listener, beside those that xDS names. */
  readonly everywhere: readonly AccessLogRule[];
}

/** Formatting is synchronous, so one is enough. */
const VIEW = new LogView();

export class Observer {
  readonly #env: ObserveEnv;
  readonly #rules: readonly AccessLogRule[];

  constructor(env: ObserveEnv, rules: readonly AccessLogRule[]) {
    this.#env = env;
    this.#rules = rules;
  }

  begin(record: StreamRecord): void {
    record.begin(this.#env.clock.now(), this.now());
  }

  /** Monotonic ms. */
  now(): number {
    return this.#env.clock.monotonic();
  }

  end(record: StreamRecord): void {
    record.endAt = this.now();
    VIEW.read(record);
    for (const { path, format, wants } of this.#rules) {
      if (!wants || wants(VIEW)) this.#env.logs.file(path).add(format(VIEW));
    }
  }
}

/** undefined: nothing to observe. */
export function observerOf(env: ObserveEnv, rules: readonly AccessLogRule[] = []): Observer | undefined {
  const all = [...rules, ...env.everywhere];
  return all.length === 0 ? undefined : new Observer(env, all);
}
