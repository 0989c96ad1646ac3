// Follows one resource in one namespace: list, then watch from the list's version, resumed from the last
// version seen, listed anew when the server has forgotten that version. Never returns; every other fault
// rejects, and the supervisor starts over with a new connection.
import { childController } from '../../lib/abort.ts';
import { backoff } from '../../lib/backoff.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { SOURCE_SILENT } from '../../lib/supervisor.ts';
import { isExpired, listAll } from './list.ts';
import { queryOf } from './resources.ts';
import type { KubeResource } from './resources.ts';
import { whatOf } from './transport.ts';
import type { KubeTransport } from './transport.ts';
import { readWatch } from './watch.ts';
import type { KubeChange } from './watch.ts';

export interface ReflectorOptions<T> {
  readonly transport: KubeTransport;
  readonly resource: KubeResource<T>;
  /** `*` for all. */
  readonly namespace: string;
  /** The whole truth: what is not in it is gone. The watch begins when it is done. */
  onList(objects: readonly T[]): void | Promise<void>;
  onChanges(changes: readonly KubeChange<T>[]): void;
  readonly clock: Clock;
  readonly random?: () => number;
  /** First wait before a watch is opened again, doubled up to maxWaitMs. Defaults 250 and 10,000 ms. */
  readonly waitMs?: number;
  readonly maxWaitMs?: number;
}

/** A watch that lasted this long was no failure, however it ended. */
const GOOD_WATCH_MS = 10_000;
/** The server answers a watch at once, with or without news. */
const HEAD_WITHIN_MS = 15_000;
/** A server, or what is in between, that does not end a watch when it should has forgotten it. */
const OVERTIME_MS = 30_000;

export async function reflect<T>(o: ReflectorOptions<T>, signal: AbortSignal): Promise<never> {
  const wait = backoff({
    baseMs: o.waitMs ?? 250,
    maxMs: o.maxWaitMs ?? 10_000,
    ...(o.random ? { random: o.random } : {}),
  });
  for (;;) {
    const { objects, resourceVersion } = await listAll(o.transport, o.resource, o.namespace, signal);
    await o.onList(objects);
    const position: Position = { resourceVersion };
    try {
      for (;;) {
        const started = o.clock.monotonic();
        await watchOnce(o, position, signal);
        if (o.clock.monotonic() - started >= GOOD_WATCH_MS) wait.reset();
        // Servers and proxies that end every watch at once exist: never in a tight loop.
        await sleep(wait.next(), signal, o.clock);
      }
    } catch (thrown) {
      if (signal.aborted || !isExpired(thrown)) throw thrown;
    }
    await sleep(wait.next(), signal, o.clock);
  }
}

interface Position {
  resourceVersion: string;
}

/** Resolves when the server ended the watch in order, or when it is overdue. */
async function watchOnce<T>(o: ReflectorOptions<T>, position: Position, parent: AbortSignal): Promise<void> {
  // Random, so that the watches of many clients do not all come back at once.
  const seconds = 290 + Math.floor((o.random ?? Math.random)() * 301);
  const query = queryOf(o.resource, o.namespace, 'watch', {
    watch: 'true',
    resourceVersion: position.resourceVersion,
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(seconds),
  });
  const { controller, release } = childController(parent);
  const overdue = new Error('watch overdue');
  const silent = SOURCE_SILENT(`a ${whatOf(query)}`, HEAD_WITHIN_MS);
  const cancelOverdue = o.clock.after(seconds * 1000 + OVERTIME_MS, () => controller.abort(overdue));
  const cancelSilent = o.clock.after(HEAD_WITHIN_MS, () => controller.abort(silent));
  try {
    const response = await o.transport.open(query, controller.signal);
    cancelSilent();
    for await (const batch of readWatch(response, query, o.resource, o.transport.server)) {
      // What was in flight when everything was called off must not be told any more.
      if (parent.aborted) break;
      position.resourceVersion = batch.resourceVersion;
      if (batch.changes.length > 0) o.onChanges(batch.changes);
    }
    parent.throwIfAborted();
  } catch (thrown) {
    if (controller.signal.reason === overdue) return;
    throw controller.signal.reason === silent ? silent : thrown;
  } finally {
    cancelSilent();
    cancelOverdue();
    release();
    controller.abort(new Error('watch over'));
  }
}
