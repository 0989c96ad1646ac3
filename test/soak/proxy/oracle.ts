// Who could have answered, and when: what the soak did to each host, as times, and the verdict on one failed
// request. Pure. It only excuses a failure for which no host was there to answer.

/** A value that changes in time, and what it was. Times are monotonic milliseconds that never go back. */
export class Timeline<T> {
  readonly #changes: { readonly atMs: number; readonly value: T }[];

  constructor(value: T, atMs: number) {
    this.#changes = [{ atMs, value }];
  }

  get now(): T {
    return (this.#changes.at(-1) as { value: T }).value;
  }

  set(value: T, atMs: number): void {
    this.#changes.push({ atMs, value });
  }

  /** True when `test` held for every value from `fromMs` to `toMs`. */
  always(fromMs: number, toMs: number, test: (value: T) => boolean): boolean {
    return this.#changes.every(({ atMs, value }, i) => {
      const untilMs = this.#changes[i + 1]?.atMs ?? Number.POSITIVE_INFINITY;
      return atMs > toMs || untilMs <= fromMs || test(value);
    });
  }

  /** Forgets what nobody can ask for any more. */
  forget(beforeMs: number): void {
    while ((this.#changes[1]?.atMs ?? Number.POSITIVE_INFINITY) <= beforeMs) this.#changes.shift();
  }
}

export interface Witness {
  readonly name: string;
  /** It answers well. */
  readonly well: Timeline<boolean>;
  /** The data plane was told of it, as one that takes traffic. */
  readonly told: Timeline<boolean>;
}

export interface FailedRequest {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Times when the soak itself did not run: what it measured then says nothing. */
export type Stalls = readonly { readonly fromMs: number; readonly toMs: number }[];

export type Verdict =
  | { readonly kind: 'excused' | 'stalled' }
  /** It had a host that could have answered. */
  | { readonly kind: 'violation'; readonly host: string };

/** @param settleMs how long after a change a data plane may not have heard of it. */
export function judge(
  request: FailedRequest,
  hosts: readonly Witness[],
  stalls: Stalls,
  settleMs: number,
): Verdict {
  const { fromMs, toMs } = request;
  const able = hosts.find(
    ({ well, told }) =>
      well.always(fromMs - settleMs, toMs, (is) => is) && told.always(fromMs - settleMs, toMs, (is) => is),
  );
  if (!able) return { kind: 'excused' };
  if (stalls.some((stall) => stall.toMs >= fromMs && stall.fromMs <= toMs)) return { kind: 'stalled' };
  return { kind: 'violation', host: able.name };
}
