// The queue between a source's watch and the aggregator: bounded by the number of services, because an
// unread update is replaced by a newer one about the same thing. A service that changes all the time is told
// at its first change, then now and then. Never loses the last word on anything: a reader, however slow, ends
// in the state in which one that read each update at once ends.
import type { Clock } from '../lib/clock.ts';
import type { DiscoveryUpdate } from '../model/discovery.ts';
import type { EndpointGroup } from '../model/endpoint.ts';

export interface Hold {
  readonly clock: Clock;
  /** From one word on a service to the next. */
  readonly ms: number;
}

export class UpdateQueue implements AsyncIterable<DiscoveryUpdate> {
  /** An unread `sync`, with later groups already folded in. */
  #sync: Map<string, EndpointGroup> | undefined;
  readonly #groups = new Map<string, EndpointGroup | undefined>();
  /** News of services that were told a moment ago. */
  readonly #held = new Map<string, EndpointGroup | undefined>();
  /** When such a service may be told again, monotonic; in the order of that time. */
  readonly #heldUntil = new Map<string, number>();
  readonly #hold: Hold | undefined;
  /** Services whose unread news was meant; news after it that was not says so of all of it. */
  readonly #intended = new Set<string>();
  #stale: Error | undefined;
  #alive: Extract<DiscoveryUpdate, { type: 'alive' }> | undefined;
  #closed = false;
  #wake: () => void = () => undefined;

  /** @param hold undefined: every change is told as soon as it is read. */
  constructor(hold?: Hold) {
    this.#hold = hold;
  }

  put(update: DiscoveryUpdate): void {
    switch (update.type) {
      case 'sync':
        this.#sync = new Map(update.groups.map((group) => [group.service, group]));
        this.#groups.clear();
        this.#held.clear();
        this.#heldUntil.clear();
        this.#intended.clear();
        this.#stale = undefined;
        break;
      case 'group':
        if (this.#sync) this.#sync.set(update.group.service, update.group);
        else this.#change(update.group.service, update.group, update.intended);
        this.#stale = undefined;
        break;
      case 'gone':
        if (this.#sync) this.#sync.delete(update.service);
        else this.#change(update.service, undefined, update.intended);
        this.#stale = undefined;
        break;
      case 'stale':
        this.#stale = update.cause;
        // After it nothing may be told but a sync.
        this.#release(Infinity);
        this.#alive = undefined;
        break;
      case 'alive':
        this.#alive = update;
        this.#stale = undefined;
        break;
    }
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** One reader. Ends after close(); what was unread then is dropped. */
  async *[Symbol.asyncIterator](): AsyncGenerator<DiscoveryUpdate, void, undefined> {
    while (!this.#closed) {
      const update = this.#take();
      if (update) yield update;
      else await this.#news();
    }
  }

  #change(service: string, group: EndpointGroup | undefined, intended: true | undefined): void {
    if (intended) this.#intended.add(service);
    else this.#intended.delete(service);
    (this.#heldUntil.has(service) ? this.#held : this.#groups).set(service, group);
  }

  /** Resolves when something was put in, or when a service that is held may be told. */
  #news(): Promise<void> {
    return new Promise((resolve) => {
      const [first] = this.#heldUntil.values();
      const cancel =
        this.#hold && this.#held.size > 0 && first !== undefined
          ? this.#hold.clock.after(Math.max(0, first - this.#hold.clock.monotonic()), resolve)
          : undefined;
      this.#wake = () => {
        cancel?.();
        resolve();
      };
    });
  }

  #release(now: number): void {
    for (const [service, until] of this.#heldUntil) {
      if (until > now) break;
      this.#heldUntil.delete(service);
      if (!this.#held.has(service)) continue;
      this.#groups.set(service, this.#held.get(service));
      this.#held.delete(service);
    }
  }

  #take(): DiscoveryUpdate | undefined {
    if (this.#sync) {
      const groups = [...this.#sync.values()];
      this.#sync = undefined;
      return { type: 'sync', groups };
    }
    const now = this.#hold?.clock.monotonic() ?? 0;
    this.#release(now);
    for (const [service, group] of this.#groups) {
      this.#groups.delete(service);
      if (this.#hold && !this.#stale) this.#heldUntil.set(service, now + this.#hold.ms);
      const intended = this.#intended.delete(service) ? { intended: true as const } : {};
      return group ? { type: 'group', group, ...intended } : { type: 'gone', service, ...intended };
    }
    if (this.#stale) {
      const cause = this.#stale;
      this.#stale = undefined;
      return { type: 'stale', cause };
    }
    if (this.#alive) {
      const alive = this.#alive;
      this.#alive = undefined;
      return alive;
    }
    return undefined;
  }
}
