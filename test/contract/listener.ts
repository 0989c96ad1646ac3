// A consumer that follows the contract: keeps what it was told, and fails when the order of updates is
// not what model/discovery.ts allows.
import type { Discoverer, DiscoveryUpdate } from '../../model/discovery.ts';
import { endpointKey } from '../../model/endpoint.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';

export class Listener {
  readonly groups = new Map<string, EndpointGroup>();
  /** Cause, while the last word was `stale`. */
  stale: Error | undefined;
  /** Types of the updates so far, without `alive`. */
  readonly log: DiscoveryUpdate['type'][] = [];
  /** The first update that carried groups. */
  first: DiscoveryUpdate['type'] | undefined;
  #log: { type: DiscoveryUpdate['type']; service: string }[] = [];
  #fewest = new Map<string, number>();
  #broken: Error | undefined;
  #last: DiscoveryUpdate['type'] | undefined;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(discoverer: Discoverer) {
    this.#done = (async () => {
      for await (const update of discoverer.discover(this.#stop.signal)) this.#apply(update);
    })();
    this.#done.catch((thrown: unknown) => {
      this.#broken = new Error('a discoverer must not throw', { cause: thrown });
    });
  }

  /** Resolves when the discoverer has returned; rejects when it broke the contract at any time. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('test over'));
    await this.#done;
    if (this.#broken) throw this.#broken;
  }

  keys(service: string): string[] {
    return (this.groups.get(service)?.endpoints ?? []).map(endpointKey);
  }

  /** Types of the updates about one service since forgetLog(). */
  logOf(service: string): string[] {
    return this.#log.filter((line) => line.service === service).map((line) => line.type);
  }

  /** The smallest number of endpoints it had since forgetLog(). */
  fewest(service: string): number {
    return this.#fewest.get(service) ?? this.keys(service).length;
  }

  forgetLog(): void {
    this.#log = [];
    this.#fewest.clear();
  }

  #apply(update: DiscoveryUpdate): void {
    this.#check(update);
    if (update.type !== 'alive') this.log.push(update.type);
    this.stale = update.type === 'stale' ? update.cause : undefined;
    if (update.type === 'sync') {
      const listed = new Set(update.groups.map((group) => group.service));
      for (const service of this.groups.keys()) if (!listed.has(service)) this.#drop('gone', service);
      for (const group of update.groups) this.groups.set(group.service, group);
    }
    if (update.type === 'group') {
      this.groups.set(update.group.service, update.group);
      this.#log.push({ type: 'group', service: update.group.service });
    }
    if (update.type === 'gone') this.#drop('gone', update.service);
    for (const [service, group] of this.groups) {
      this.#fewest.set(service, Math.min(this.#fewest.get(service) ?? Infinity, group.endpoints.length));
    }
  }

  #drop(type: 'gone', service: string): void {
    this.groups.delete(service);
    this.#fewest.set(service, 0);
    this.#log.push({ type, service });
  }

  #check({ type }: DiscoveryUpdate): void {
    const carries = type === 'sync' || type === 'group' || type === 'gone';
    if (carries) this.first ??= type;
    const fault = (text: string) => {
      this.#broken ??= new Error(text);
    };
    if (this.first !== undefined && this.first !== 'sync')
      fault(`the first update with groups was ${this.first}`);
    if (type === 'alive' && this.first === undefined) fault('alive before the first sync');
    if (this.#last === 'stale' && type !== 'sync' && type !== 'stale') fault(`${type} right after stale`);
    this.#last = type;
  }
}
