// The queue between a source's watch and the aggregator: bounded by the number of services, because an
// unread update is replaced by a newer one about the same thing. Never loses the last word on anything: a
// reader, however slow, ends in the state in which one that read each update at once ends.
import type { DiscoveryUpdate } from '../model/discovery.ts';
import type { EndpointGroup } from '../model/endpoint.ts';

export class UpdateQueue implements AsyncIterable<DiscoveryUpdate> {
  /** An unread `sync`, with later groups already folded in. */
  #sync: Map<string, EndpointGroup> | undefined;
  #groups = new Map<string, EndpointGroup | undefined>();
  #stale: Error | undefined;
  #alive: Extract<DiscoveryUpdate, { type: 'alive' }> | undefined;
  #closed = false;
  #wake: () => void = () => undefined;

  put(update: DiscoveryUpdate): void {
    switch (update.type) {
      case 'sync':
        this.#sync = new Map(update.groups.map((group) => [group.service, group]));
        this.#groups.clear();
        this.#stale = undefined;
        break;
      case 'group':
        (this.#sync ?? this.#groups).set(update.group.service, update.group);
        this.#stale = undefined;
        break;
      case 'gone':
        if (this.#sync) this.#sync.delete(update.service);
        else this.#groups.set(update.service, undefined);
        this.#stale = undefined;
        break;
      case 'stale':
        this.#stale = update.cause;
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
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  #take(): DiscoveryUpdate | undefined {
    if (this.#sync) {
      const groups = [...this.#sync.values()];
      this.#sync = undefined;
      return { type: 'sync', groups };
    }
    for (const [service, group] of this.#groups) {
      this.#groups.delete(service);
      return group ? { type: 'group', group } : { type: 'gone', service };
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
