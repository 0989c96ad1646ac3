// Several loops that stand and fall together, and a bounded number of questions at once.
import { aborted, childController } from '../lib/abort.ts';
import { toError } from '../lib/errors.ts';

export interface TaskGroup {
  readonly signal: AbortSignal;
  /** Starts a task; the first one that fails ends all. */
  run(task: (signal: AbortSignal) => Promise<unknown>): void;
  /** Resolves when the parent aborted, rejects with the first failure; in both cases every task is over. */
  over(): Promise<void>;
}

export function taskGroup(parent: AbortSignal): TaskGroup {
  const { controller, release } = childController(parent);
  const tasks = new Set<Promise<void>>();
  return {
    signal: controller.signal,
    run(task) {
      const running = task(controller.signal).then(
        () => undefined,
        (thrown: unknown) => controller.abort(toError(thrown)),
      );
      tasks.add(running);
      void running.then(() => tasks.delete(running));
    },
    async over() {
      await aborted(controller.signal);
      release();
      await Promise.all(tasks);
      if (!parent.aborted) throw toError(controller.signal.reason);
    },
  };
}

/** Like Promise.all over `work`, with at most `limit` under way; results in the order of `items`. */
export async function mapLimit<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
