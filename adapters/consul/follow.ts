// Who is watched and who takes turns, from one catalog to the next. Up to `maxWatches` services have a
// blocking query each; the others share the two coarse watches (turns.ts).
import { childController } from '../../lib/abort.ts';
import { blockingLoop } from './blocking.ts';
import type { ConsulCatalog, ConsulClient } from './client.ts';
import { askFrom } from './context.ts';
import type { ConsulContext } from './context.ts';
import type { TaskGroup } from '../tasks.ts';
import type { Told } from './told.ts';
import { Turns } from './turns.ts';

export class Follower {
  readonly #context: ConsulContext;
  readonly #client: ConsulClient;
  readonly #group: TaskGroup;
  readonly #told: Told;
  readonly #watched = new Map<string, AbortController>();
  readonly #turns: Turns;
  #takesTurns = false;

  constructor(context: ConsulContext, client: ConsulClient, group: TaskGroup, told: Told) {
    const { clock, limits } = context;
    this.#context = context;
    this.#client = client;
    this.#group = group;
    this.#told = told;
    this.#turns = new Turns({
      clock,
      tickMs: Math.min(limits.roundMs, limits.minIntervalMs),
      roundMs: limits.roundMs,
      fetch: async (name, signal) => {
        const answer = await client.health(name, askFrom(limits, '0', signal));
        if (this.#turns.has(name)) told.now(name, answer.data);
        return answer;
      },
      index: (name, signal) => client.index(name, askFrom(limits, '0', signal)),
    });
  }

  /** @param from index and nodes of what was told already. */
  add(name: string, from?: { readonly index: string; readonly nodes: readonly string[] }): void {
    const leave = this.#seat();
    if (leave) this.#watch(name, from?.index ?? '0', leave);
    else this.#turns.add(name, from?.nodes, from?.index);
  }

  /**
   * @param failing what failed before the services were asked for the first time, with its index; undefined
   *   when nobody asked.
   */
  takeTurns(failing?: Awaited<ReturnType<ConsulClient['failing']>>): void {
    if (this.#takesTurns || this.#turns.size === 0) return;
    this.#takesTurns = true;
    if (failing) this.#turns.failingNow(failing.data);
    else this.#turns.catalogMoved();
    const { clock, limits } = this.#context;
    this.#group.run((signal) => this.#turns.loop(signal));
    this.#group.run((signal) =>
      blockingLoop(
        {
          ...limits,
          from: failing?.index ?? '0',
          clock,
          ask: (index, waitMs) => this.#client.failing(askFrom(limits, index, signal, waitMs)),
          onData: (checks) => this.#turns.failingNow(checks),
        },
        signal,
      ),
    );
  }

  /** The catalog's new list: what is not in it is gone, what is new is followed. */
  keepOnly(names: readonly string[]): void {
    const listed = new Set(names);
    for (const name of [...this.#watched.keys(), ...this.#turns.names()]) {
      if (listed.has(name)) continue;
      this.#watched.get(name)?.abort(new Error('no longer in the catalog'));
      this.#watched.delete(name);
      this.#turns.delete(name);
      this.#told.gone(name);
    }
    for (const name of this.#turns.names()) {
      const leave = this.#seat();
      if (!leave) break;
      this.#turns.delete(name);
      this.#watch(name, '0', leave);
    }
    for (const name of names) if (!this.#watched.has(name) && !this.#turns.has(name)) this.add(name);
    this.#turns.catalogMoved();
    this.takeTurns();
  }

  /** undefined: this source, or all sources of this address together, watch as many as they may. */
  #seat(): (() => void) | undefined {
    const { config, limits, seats } = this.#context;
    if (this.#watched.size >= limits.maxWatches) return undefined;
    return seats.take(config.address, limits.maxWatches);
  }

  #watch(name: string, from: string, leave: () => void): void {
    const { clock, limits } = this.#context;
    const { controller, release } = childController(this.#group.signal);
    const { signal } = controller;
    this.#watched.set(name, controller);
    this.#group.run(async (group) => {
      try {
        await blockingLoop(
          {
            ...limits,
            from,
            clock,
            ask: (index, waitMs) => this.#client.health(name, askFrom(limits, index, signal, waitMs)),
            onData: (entries) => this.#told.now(name, entries),
          },
          signal,
        );
      } catch (thrown) {
        // Only this watch was told to stop: its service has left the catalog.
        if (!signal.aborted || group.aborted) throw thrown;
      } finally {
        release();
        leave();
      }
    });
  }
}

/** Names whose instances may carry all of `tags`: the catalog has the tags of all instances of a name. */
export function namesWithTags(catalog: ConsulCatalog, tags: readonly string[]): string[] {
  return Object.entries(catalog)
    .filter(([, its]) => tags.every((tag) => its.includes(tag)))
    .map(([name]) => name);
}
