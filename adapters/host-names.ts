// The addresses of the host names that a source speaks of, asked anew when their time has run out. A name
// that cannot be answered keeps its last answer, and one that is suddenly denied keeps it for a while.
// Knows names only, no services; the owner closes it.
import type { Clock } from '../lib/clock.ts';
import { describeError } from '../lib/errors.ts';
import { TimerWheel, WheelTimer } from '../lib/timer-wheel.ts';
import type { AddressRecord, NameServer } from './name-server.ts';

export interface HostNamesOptions {
  /** Called when the first name is asked for. */
  open(): NameServer;
  readonly clock: Clock;
  /** Something is known of the name for the first time, or its addresses are others. */
  onNews(name: string): void;
  /** Until a name is asked again whose answer does not say how long it holds. Default 30,000 ms. */
  readonly pollMs?: number | undefined;
  /** No name is asked more often, whatever its time to live … Default 1,000 ms. */
  readonly minMs?: number | undefined;
  /** … nor more rarely. Default 300,000 ms. */
  readonly maxMs?: number | undefined;
  /** A name without an answer by then is passed over until it has one. Default 5,000 ms. */
  readonly patienceMs?: number | undefined;
  /** A name that had addresses must be denied for so long before that is believed. Default 10,000 ms. */
  readonly deniedMs?: number | undefined;
}

interface Entry {
  readonly name: string;
  /** When it is asked again. */
  readonly turn: WheelTimer;
  /** When nobody waits for its first answer any more. */
  readonly patience: WheelTimer;
  /** The last good answer, sorted. */
  addresses: readonly string[];
  isSettled: boolean;
  /** Why its addresses are old, or why it has none; ''. */
  fault: string;
  faults: number;
  goodAt: number;
  deniedSince: number | undefined;
}

/** Questions at a time. */
const AT_ONCE = 16;
/** Beside the least time between two questions; coarse, so that many names are no work. */
const MAX_TICK_MS = 250;

export class HostNames {
  readonly #o: HostNamesOptions;
  readonly #minMs: number;
  readonly #wheel: TimerWheel;
  readonly #entries = new Map<string, Entry>();
  readonly #ready = new Set<Entry>();
  #server: NameServer | undefined;
  #asking = 0;
  #unsettled = 0;
  #closed = false;

  constructor(options: HostNamesOptions) {
    this.#o = options;
    this.#minMs = options.minMs ?? 1_000;
    this.#wheel = new TimerWheel(options.clock, Math.min(MAX_TICK_MS, this.#minMs));
  }

  /** Names that somebody still waits for. */
  get unsettled(): number {
    return this.#unsettled;
  }

  isSettled(name: string): boolean {
    return this.#entries.get(name)?.isSettled ?? false;
  }

  addresses(name: string): readonly string[] {
    return this.#entries.get(name)?.addresses ?? [];
  }

  /** One sentence about the names that cannot be resolved; '' when all can. */
  get notice(): string {
    const bad = [...this.#entries.values()].filter((entry) => entry.fault !== '');
    const [first] = bad;
    if (!first) return '';
    const count = `${bad.length} of ${this.#entries.size} host names`;
    return `${count} cannot be resolved, such as ${first.name}: ${first.fault}`;
  }

  follow(name: string): void {
    if (this.#entries.has(name) || this.#closed) return;
    const entry: Entry = {
      name,
      turn: new WheelTimer(() => this.#isDue(entry)),
      patience: new WheelTimer(() => this.#settle(entry)),
      addresses: [],
      isSettled: false,
      fault: '',
      faults: 0,
      goodAt: Number.NEGATIVE_INFINITY,
      deniedSince: undefined,
    };
    this.#entries.set(name, entry);
    this.#unsettled += 1;
    this.#wheel.arm(entry.patience, this.#o.patienceMs ?? 5_000);
    this.#isDue(entry);
  }

  unfollow(name: string): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    this.#entries.delete(name);
    this.#ready.delete(entry);
    this.#wheel.disarm(entry.turn);
    this.#wheel.disarm(entry.patience);
    if (!entry.isSettled) this.#unsettled -= 1;
  }

  close(): void {
    this.#closed = true;
    this.#ready.clear();
    this.#wheel.close();
    this.#server?.close();
  }

  #isDue(entry: Entry): void {
    this.#ready.add(entry);
    this.#askNext();
  }

  #askNext(): void {
    for (const entry of this.#ready) {
      if (this.#asking >= AT_ONCE) return;
      this.#ready.delete(entry);
      void this.#ask(entry);
    }
  }

  /** Never rejects. */
  async #ask(entry: Entry): Promise<void> {
    this.#server ??= this.#o.open();
    this.#asking += 1;
    const answer = await this.#server.addresses(entry.name).catch((thrown: unknown) => describeError(thrown));
    this.#asking -= 1;
    if (this.#closed) return;
    if (this.#entries.get(entry.name) === entry) {
      if (typeof answer === 'string') this.#failed(entry, answer);
      else this.#heard(entry, answer);
    }
    this.#askNext();
  }

  #failed(entry: Entry, fault: string): void {
    entry.fault = fault;
    entry.faults += 1;
    this.#askAgain(entry, this.#minMs * 2 ** Math.min(entry.faults, 10));
    this.#settle(entry);
  }

  #heard(entry: Entry, records: readonly AddressRecord[]): void {
    const addresses = [...new Set(records.map(({ address }) => address))].sort();
    entry.faults = 0;
    if (addresses.length > 0) {
      entry.goodAt = this.#o.clock.monotonic();
      entry.deniedSince = undefined;
      entry.fault = '';
    } else {
      entry.fault = 'it has no address';
      if (entry.addresses.length > 0 && !this.#isDeniedForGood(entry)) {
        this.#askAgain(entry, 2 * this.#minMs);
        return;
      }
    }
    const ttl = Math.min(...records.map((record) => record.ttl));
    this.#askAgain(entry, records.length === 0 ? undefined : ttl * 1_000);
    const isNews = addresses.join() !== entry.addresses.join();
    entry.addresses = addresses;
    if (!this.#settle(entry) && isNews) this.#o.onNews(entry.name);
  }

  /**
   * A name server that is being restarted, or has lost its zones, denies everything. So a denial counts when
   * it lasts, and when some other name has been answered well since it began.
   */
  #isDeniedForGood(entry: Entry): boolean {
    const now = this.#o.clock.monotonic();
    const since = (entry.deniedSince ??= now);
    if (now - since < (this.#o.deniedMs ?? 10_000)) return false;
    return [...this.#entries.values()].some(({ goodAt }) => goodAt > since);
  }

  /** True when the name was not settled yet: then that is the news. */
  #settle(entry: Entry): boolean {
    if (entry.isSettled) return false;
    entry.isSettled = true;
    this.#unsettled -= 1;
    this.#wheel.disarm(entry.patience);
    this.#o.onNews(entry.name);
    return true;
  }

  #askAgain(entry: Entry, wantedMs: number | undefined): void {
    const { pollMs = 30_000, maxMs = 300_000 } = this.#o;
    const most = entry.fault === '' ? maxMs : pollMs;
    this.#wheel.arm(entry.turn, Math.min(most, Math.max(this.#minMs, wantedMs ?? pollMs)));
  }
}
