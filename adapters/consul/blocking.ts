// Consul's long polling: ask with the last index, get the next state. Follows Consul's rules for clients
// (API docs, "Blocking Queries"): an index that goes back starts over, queries never come faster than a
// minimum interval, waits are spread. Knows nothing of what is asked.
import type { Clock } from '../../lib/clock.ts';
import { sleep } from '../../lib/clock.ts';
import type { Answer } from './client.ts';

export interface BlockingOptions<T> {
  /** '0' to start with the current state. */
  readonly from: string;
  /** One question; waits up to `waitMs` when the index is not '0'. */
  ask(index: string, waitMs: number): Promise<Answer<T>>;
  onData(data: T): void;
  readonly waitMs: number;
  /** Between the starts of two questions: an index that moves with every answer must not make a storm. */
  readonly minIntervalMs: number;
  readonly clock: Clock;
  readonly random?: () => number;
}

/** Runs until `signal` aborts or a question fails; rejects in both cases. */
export async function blockingLoop<T>(options: BlockingOptions<T>, signal: AbortSignal): Promise<never> {
  const { clock, minIntervalMs, random = Math.random } = options;
  let index = options.from;
  for (;;) {
    const started = clock.monotonic();
    const waitMs = Math.round(options.waitMs * (0.9 + 0.1 * random()));
    const answer = await options.ask(index, waitMs);
    signal.throwIfAborted();
    if (answer.index !== index) options.onData(answer.data);
    index = nextIndex(index, answer.index);
    const rest = minIntervalMs * (1 + 0.1 * random()) - (clock.monotonic() - started);
    if (rest > 0) await sleep(rest, signal, clock);
  }
}

/** Back to '0' when the server restarted or lost its state; never '0' otherwise, that would not block. */
export function nextIndex(before: string, got: string): string {
  const [a, b] = [BigInt(before), BigInt(got)];
  if (b < a) return '0';
  return b === 0n ? '1' : got;
}
