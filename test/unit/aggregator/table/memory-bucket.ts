// A bucket in memory, with the revision checks and the watch of aggregator/cluster/bus.ts, that can be cut off from
// each of its users: enough to run many histories of many replicas in little time. True brokers are in test/contract.
import type { Bucket, BusEntry } from '../../../../aggregator/cluster/bus.ts';

export class MemoryBroker {
  readonly #last = new Map<string, BusEntry>();
  readonly #watchers = new Set<Way>();
  readonly #now: () => number;
  #revision = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A user's way to it. */
  way(): Way {
    const way = new Way(this);
    this.#watchers.add(way);
    return way;
  }

  entries(): readonly BusEntry[] {
    return [...this.#last.values()].sort((a, b) => a.revision - b.revision);
  }

  erase(revision: number): void {
    for (const [key, entry] of this.#last) if (entry.revision === revision) this.#last.delete(key);
  }

  /** Its disks are new. */
  wipe(): void {
    this.#last.clear();
    this.#revision = 0;
  }

  write(key: string, value: Uint8Array | undefined, expected: number): number | undefined {
    if ((this.#last.get(key)?.revision ?? 0) !== expected) return undefined;
    this.#revision += 1;
    const entry = { key, value, revision: this.#revision, at: this.#now() };
    this.#last.set(key, entry);
    for (const watcher of this.#watchers) watcher.hear(entry);
    return this.#revision;
  }
}

export class Way implements Bucket {
  readonly #broker: MemoryBroker;
  #isUp = true;
  #unheard: BusEntry[] = [];
  #wake: () => void = () => undefined;

  constructor(broker: MemoryBroker) {
    this.#broker = broker;
  }

  set isUp(up: boolean) {
    this.#isUp = up;
    this.#wake();
  }

  async write(key: string, value: Uint8Array, expected: number): Promise<number | undefined> {
    await this.#demand();
    return this.#broker.write(key, value, expected);
  }

  async remove(key: string, expected: number): Promise<boolean> {
    await this.#demand();
    return this.#broker.write(key, undefined, expected) !== undefined;
  }

  async erase(revision: number): Promise<void> {
    await this.#demand();
    this.#broker.erase(revision);
  }

  hear(entry: BusEntry): void {
    if (!this.#isUp) return;
    this.#unheard.push(entry);
    this.#wake();
  }

  async *watch(_: string, signal: AbortSignal): AsyncGenerator<BusEntry | 'current'> {
    await this.#demand();
    this.#unheard = [];
    yield* this.#broker.entries();
    yield 'current';
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      if (!this.#isUp) throw new Error('cut off');
      const next = this.#unheard.shift();
      if (next) yield next;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  async #demand(): Promise<void> {
    await Promise.resolve();
    if (!this.#isUp) throw new Error('cut off');
  }
}
