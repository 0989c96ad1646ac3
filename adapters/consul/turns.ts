// The services beyond `maxWatches`. Two coarse watches say that something moved; which of them to ask, and
// when, is decided here: at once those that are named, in a round all of them when the catalog moved without
// a name, and slowly each in turn even when nothing moved. In a round the cheap question comes first, whether
// a service's index has moved; only then is it fetched. Knows nothing of HTTP.
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { sharedText } from '../share.ts';
import type { ConsulEntry, ConsulStateCheck } from './answers.ts';
import type { Answer } from './client.ts';
import { mapLimit } from '../tasks.ts';

export interface TurnsOptions {
  readonly clock: Clock;
  /** Between two looks at what is to be asked. */
  readonly tickMs: number;
  /** Least time from one round over all to the next. */
  readonly roundMs: number;
  /** One question; its answer is told to whom it concerns. */
  fetch(name: string, signal: AbortSignal): Promise<Answer<readonly ConsulEntry[]>>;
  /** The index that fetch() would have now: costs a few bytes. */
  index(name: string, signal: AbortSignal): Promise<string>;
}

/** Questions at once. */
const AT_ONCE = 8;
/** Each service is asked at least once in this time. */
const RELIST_MS = 60_000;
/** A round over N services counts as this long at least, so that rounds do not follow one another. */
const ROUND_MS_PER_SERVICE = 2;

/** Questions in one tick, so that those that are named do not wait for the end of a round. */
const BATCH = 1_000;

export class Turns {
  readonly #options: TurnsOptions;
  /** Nodes of each service, as it was last seen: a check of a node concerns them all. */
  readonly #nodes = new Map<string, readonly string[]>();
  /** Index of each service when it was fetched last. */
  readonly #indexes = new Map<string, string>();
  readonly #named = new Set<string>();
  /** What is left of the round or of the slow turn. */
  #queue: string[] = [];
  #rest: string[] = [];
  #credit = 0;
  #moved = false;
  #failing: ReadonlyMap<string, ConsulStateCheck> | undefined;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#nodes.size;
  }

  has(name: string): boolean {
    return this.#nodes.has(name);
  }

  names(): string[] {
    return [...this.#nodes.keys()];
  }

  /** @param nodes where its instances are that were told already, and its index; undefined: to be asked at once. */
  add(name: string, nodes?: readonly string[], index?: string): void {
    if (index !== undefined) this.#indexes.set(name, index);
    this.#nodes.set(name, nodes ?? []);
    if (nodes === undefined) this.#named.add(name);
  }

  delete(name: string): boolean {
    this.#named.delete(name);
    this.#indexes.delete(name);
    return this.#nodes.delete(name);
  }

  /** The catalog's index moved: instances came, left or changed, we are not told where. */
  catalogMoved(): void {
    this.#moved = true;
  }

  /** The checks that fail now. What began or ceased to fail since the last time names its service. */
  failingNow(checks: readonly ConsulStateCheck[]): void {
    const now = new Map(checks.map((c) => [`${c.Node}\n${c.CheckID}\n${c.Status}`, c]));
    const before = this.#failing;
    this.#failing = now;
    if (before === undefined) return;
    for (const [key, check] of now) if (!before.has(key)) this.#concern(check);
    for (const [key, check] of before) if (!now.has(key)) this.#concern(check);
  }

  async loop(signal: AbortSignal): Promise<never> {
    const { clock, tickMs, roundMs } = this.#options;
    let began = Number.NEGATIVE_INFINITY;
    for (;;) {
      await sleep(tickMs, signal, clock);
      const now = clock.monotonic();
      if (this.#moved && now - began >= Math.max(roundMs, this.size * ROUND_MS_PER_SERVICE)) {
        began = now;
        this.#moved = false;
        this.#queue = this.names();
      } else this.#queue.push(...this.#slowTurn(tickMs));
      await mapLimit([...this.#next()], AT_ONCE, ([name, named]) => this.#ask(name, named, signal));
    }
  }

  /** One tick's worth of questions; those that are named first. */
  *#next(): Generator<readonly [name: string, named: boolean]> {
    const named = new Set(this.#named);
    this.#named.clear();
    for (const name of named) yield [name, true];
    const queue = this.#queue.splice(0, BATCH);
    for (const name of queue) if (!named.has(name)) yield [name, false];
  }

  async #ask(name: string, named: boolean, signal: AbortSignal): Promise<void> {
    if (!this.has(name)) return;
    const known = named ? undefined : this.#indexes.get(name);
    if (known !== undefined && known === (await this.#options.index(name, signal))) return;
    const { data, index } = await this.#options.fetch(name, signal);
    if (!this.has(name)) return;
    this.#nodes.set(name, nodesOf(data));
    this.#indexes.set(name, index);
  }

  /** As many of the services as are due after `ms`, so that all have been asked within RELIST_MS. */
  #slowTurn(ms: number): string[] {
    if (this.#queue.length > 0) return [];
    this.#credit = Math.min(this.size, this.#credit + (this.size * ms) / RELIST_MS);
    const due = Math.floor(this.#credit);
    if (due === 0) return [];
    this.#credit -= due;
    if (this.#rest.length === 0) this.#rest = this.names();
    return this.#rest.splice(0, due);
  }

  #concern({ ServiceName, Node }: ConsulStateCheck): void {
    if (ServiceName !== '') {
      if (this.has(ServiceName)) this.#named.add(ServiceName);
      return;
    }
    for (const [name, nodes] of this.#nodes) if (nodes.includes(Node)) this.#named.add(name);
  }
}

/** Names of the nodes, each once. */
export function nodesOf(entries: readonly ConsulEntry[]): readonly string[] {
  return [...new Set(entries.map((entry) => sharedText(entry.Node.Node)))];
}
