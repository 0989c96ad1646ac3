// The tree against a small registry in memory that behaves as ZooKeeper does: watches fire once.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Tree } from '../../../../adapters/zookeeper/tree.ts';
import type { OnChange } from '../../../../adapters/zookeeper/watches.ts';
import { ManualClock } from '../../../../lib/clock.ts';

/** Answers come when `answer` is called, in the order of the questions. */
class Memory {
  readonly nodes = new Map<string, string>([['/s', '']]);
  readonly #waiting: (() => void)[] = [];
  readonly #onChildren = new Map<string, OnChange[]>();
  readonly #onData = new Map<string, OnChange[]>();
  atOnce = 0;

  put(path: string, text: string): void {
    const isNew = !this.nodes.has(path);
    this.nodes.set(path, text);
    if (isNew) this.#fire(this.#onChildren, parentOf(path));
    else this.#fire(this.#onData, path);
  }

  delete(path: string): void {
    for (const child of this.#childrenOf(path)) this.delete(`${path}/${child}`);
    if (!this.nodes.delete(path)) return;
    this.#fire(this.#onData, path);
    this.#fire(this.#onChildren, path);
    this.#fire(this.#onChildren, parentOf(path));
  }

  readonly client = {
    children: (path: string, onChange: OnChange) =>
      this.#ask(() => {
        if (!this.nodes.has(path)) return undefined;
        arm(this.#onChildren, path, onChange);
        return this.#childrenOf(path);
      }),
    data: (path: string, onChange: OnChange) =>
      this.#ask(() => {
        const text = this.nodes.get(path);
        if (text !== undefined) arm(this.#onData, path, onChange);
        return text;
      }),
  };

  /** One answer; false: nobody waits. */
  async answer(): Promise<boolean> {
    this.atOnce = Math.max(this.atOnce, this.#waiting.length);
    const next = this.#waiting.shift();
    next?.();
    for (let n = 0; n < 8; n += 1) await Promise.resolve();
    return next !== undefined;
  }

  #ask<T>(read: () => T): Promise<T> {
    return new Promise((resolve) => this.#waiting.push(() => resolve(read())));
  }

  #childrenOf(path: string): string[] {
    return [...this.nodes.keys()]
      .filter((node) => parentOf(node) === path)
      .map((node) => node.slice(path.length + 1));
  }

  #fire(watches: Map<string, OnChange[]>, path: string): void {
    const fired = watches.get(path) ?? [];
    watches.delete(path);
    for (const watch of fired) watch(path);
  }
}

const parentOf = (path: string) => path.slice(0, path.lastIndexOf('/'));
const arm = (watches: Map<string, OnChange[]>, path: string, onChange: OnChange) =>
  watches.set(path, [...(watches.get(path) ?? []), onChange]);

function follow(memory: Memory, clock: ManualClock) {
  const seen = new Map<string, string>();
  const folders = new Set<string>();
  const state = { settled: 0, fault: undefined as Error | undefined };
  const tree = new Tree({
    client: memory.client,
    root: '/s',
    role: (segments) => (segments.length < 2 ? 'folder' : 'instance'),
    named: false,
    atOnce: 2,
    clock,
    onFolder: ([name = ''], there) => (there ? folders.add(name) : folders.delete(name)),
    onInstance: (segments, _path, text) => {
      if (text === undefined) seen.delete(segments.join('/'));
      else seen.set(segments.join('/'), text);
    },
    onSettled: () => {
      state.settled += 1;
    },
    onFault: (fault) => {
      state.fault = fault;
    },
    onNoRoot: () => Promise.resolve(new Error('no root')),
  });
  tree.start();
  const settle = async () => {
    for (;;) {
      while (await memory.answer());
      if (clock.pending === 0) return;
      clock.advance(100);
    }
  };
  return { tree, seen, folders, state, settle };
}

test('whatever changes when, the end is what is there; never too many reads at once', async () => {
  const step = fc.record({
    what: fc.constantFrom('put', 'delete', 'deleteService', 'answer', 'tick'),
    service: fc.integer({ min: 0, max: 2 }),
    instance: fc.integer({ min: 0, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const memory = new Memory();
      const clock = new ManualClock();
      const { tree, seen, folders, state, settle } = follow(memory, clock);
      let count = 0;
      for (const { what, service, instance } of steps) {
        const folder = `/s/${service}`;
        if (what === 'answer') await memory.answer();
        if (what === 'tick') clock.advance(30);
        if (what === 'deleteService') memory.delete(folder);
        if (what === 'delete') memory.delete(`${folder}/${instance}`);
        if (what === 'put') {
          if (!memory.nodes.has(folder)) memory.put(folder, '');
          count += 1;
          memory.put(`${folder}/${instance}`, `v${count}`);
        }
      }
      await settle();
      const there = [...memory.nodes].map(([path, text]) => [path.slice('/s/'.length), text] as const);
      expect(new Map(seen)).toEqual(new Map(there.filter(([path]) => path.includes('/'))));
      expect([...folders].sort()).toEqual(
        there
          .map(([path]) => path)
          .filter((path) => path !== '' && !path.includes('/'))
          .sort(),
      );
      expect(state.fault).toBeUndefined();
      expect(tree.instances).toBe(seen.size);
      expect(state.settled).toBeGreaterThan(0);
      expect(memory.atOnce).toBeLessThanOrEqual(2);
      tree.stop();
      expect(clock.pending).toBe(0);
    }),
  );
});

test('a root that is gone is a fault, told once', async () => {
  const memory = new Memory();
  const clock = new ManualClock();
  const { state, settle } = follow(memory, clock);
  await settle();
  expect(state.settled).toBe(1);
  memory.delete('/s');
  await settle();
  expect(state.fault?.message).toBe('no root');
  expect(state.settled).toBe(1);
});
