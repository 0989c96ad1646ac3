// Endpoints whose address is a host name, as those that it leads to: one for each A and AAAA record. Stands
// between an adapter and what shapes its updates, so that no adapter asks name servers and nobody behind it
// sees a name for an address. What a source has said is told at once where no name is in it; else when each
// of its names has been asked once, or after a few seconds without those that were not answered.
import type { Clock } from '../lib/clock.ts';
import { childController } from '../lib/abort.ts';
import type { Discoverer, DiscoveryUpdate } from '../model/discovery.ts';
import { compareEndpoints, endpointKey } from '../model/endpoint.ts';
import type { Endpoint, EndpointGroup } from '../model/endpoint.ts';
import { isUnresolved } from './address.ts';
import { HostNames } from './host-names.ts';
import type { HostNamesOptions } from './host-names.ts';
import { healthRank } from './instance.ts';
import { createNameServer } from './name-server.ts';
import { UpdateQueue } from './updates.ts';

export type ResolveTimings = Pick<
  HostNamesOptions,
  'pollMs' | 'minMs' | 'maxMs' | 'patienceMs' | 'deniedMs'
> & {
  /** One question, over all tries. Default 6,000 ms. */
  readonly answerMs?: number;
};

/** The same source with addresses for names. @param resolvers IP or IP:PORT; none: those of the machine. */
export function resolved(
  discoverer: Discoverer,
  resolvers: readonly string[],
  { clock }: { readonly clock: Clock },
  { answerMs = 6_000, ...timings }: ResolveTimings = {},
): Discoverer {
  const { source, kind } = discoverer;
  return {
    source,
    kind,
    async *discover(parent) {
      const queue = new UpdateQueue();
      const { controller, release } = childController(parent);
      const open = () => createNameServer(resolvers, answerMs);
      const stage = new Resolving(queue, { open, clock, ...timings });
      const pump = async () => {
        try {
          for await (const update of discoverer.discover(controller.signal)) stage.put(update);
        } finally {
          queue.close();
        }
      };
      const pumping = pump();
      // It is waited for below; until then a fault of the source must not count as unhandled.
      pumping.catch(() => undefined);
      try {
        yield* queue;
        await pumping;
      } finally {
        controller.abort(new Error('discovery over'));
        release();
        stage.close();
        await pumping.catch(() => undefined);
      }
    },
  };
}

class Resolving {
  readonly #out: Pick<UpdateQueue, 'put'>;
  readonly #names: HostNames;
  /** What the source said of services with host names. */
  readonly #groups = new Map<string, EndpointGroup>();
  /** Services by host name. */
  readonly #users = new Map<string, Set<string>>();
  /** A whole state that waits for names. */
  #held: Map<string, EndpointGroup> | undefined;
  /** The source does not answer: what is told of it stays as it is, until it says everything anew. */
  #isDark = false;

  constructor(out: Pick<UpdateQueue, 'put'>, options: Omit<HostNamesOptions, 'onNews'>) {
    this.#out = out;
    this.#names = new HostNames({ ...options, onNews: (name) => this.#news(name) });
  }

  close(): void {
    this.#names.close();
  }

  put(update: DiscoveryUpdate): void {
    switch (update.type) {
      case 'sync':
        return this.#sync(update.groups);
      case 'group':
        return this.#group(update.group);
      case 'gone':
        this.#setUsed(update.service, undefined);
        if (this.#held) this.#held.delete(update.service);
        else this.#out.put(update);
        this.#tellHeld();
        return;
      case 'stale':
        this.#isDark = true;
        this.#held = undefined;
        this.#out.put(update);
        return;
      case 'alive':
        if (!this.#held) this.#out.put(this.#withNotice(update));
        return;
    }
  }

  #sync(groups: readonly EndpointGroup[]): void {
    const listed = new Set(groups.map(({ service }) => service));
    for (const service of this.#groups.keys()) if (!listed.has(service)) this.#setUsed(service, undefined);
    for (const group of groups) this.#setUsed(group.service, group);
    this.#isDark = false;
    this.#held = new Map(groups.map((group) => [group.service, group]));
    this.#tellHeld();
  }

  #group(group: EndpointGroup): void {
    const uses = this.#setUsed(group.service, group);
    if (this.#held) {
      this.#held.set(group.service, group);
      this.#tellHeld();
    } else if (uses === 0) this.#out.put({ type: 'group', group });
    else this.#tell(group);
  }

  #news(name: string): void {
    if (this.#held) this.#tellHeld();
    else if (!this.#isDark) {
      for (const service of this.#users.get(name) ?? []) {
        const group = this.#groups.get(service);
        if (group) this.#tell(group);
      }
    }
  }

  /** Its names may not have been asked yet; then their news lead here again. */
  #tell(group: EndpointGroup): void {
    if (namesIn(group).every((name) => this.#names.isSettled(name))) {
      this.#out.put({ type: 'group', group: this.#expand(group) });
    }
  }

  #tellHeld(): void {
    if (!this.#held || this.#names.unsettled > 0) return;
    const groups = [...this.#held.values()].map((group) => this.#expand(group));
    this.#held = undefined;
    this.#out.put({ type: 'sync', groups });
  }

  #expand(group: EndpointGroup): EndpointGroup {
    if (!this.#groups.has(group.service)) return group;
    const found = new Map<string, Endpoint>();
    for (const endpoint of group.endpoints) {
      const addresses = isUnresolved(endpoint) ? this.#names.addresses(endpoint.address) : [endpoint.address];
      for (const address of addresses) {
        const at = { ...endpoint, address };
        const key = `${at.portName}|${endpointKey(at)}`;
        const other = found.get(key);
        if (!other || healthRank(at) < healthRank(other)) found.set(key, at);
      }
    }
    return { ...group, endpoints: [...found.values()].sort(compareEndpoints) };
  }

  /** Follows the names of the group, and no longer those that only its last state had. Returns their number. */
  #setUsed(service: string, group: EndpointGroup | undefined): number {
    const before = this.#groups.get(service);
    const names = group ? namesIn(group) : [];
    if (!before && names.length === 0) return 0;
    if (group && names.length > 0) this.#groups.set(service, group);
    else this.#groups.delete(service);
    for (const name of names) {
      const users = this.#users.get(name) ?? new Set<string>();
      this.#users.set(name, users.add(service));
      this.#names.follow(name);
    }
    for (const name of before ? namesIn(before) : []) {
      if (!names.includes(name)) this.#leave(name, service);
    }
    return names.length;
  }

  #leave(name: string, service: string): void {
    const users = this.#users.get(name);
    if (!users?.delete(service) || users.size > 0) return;
    this.#users.delete(name);
    this.#names.unfollow(name);
  }

  #withNotice(alive: Extract<DiscoveryUpdate, { type: 'alive' }>): DiscoveryUpdate {
    const notices = [alive.notice ?? '', this.#names.notice].filter((notice) => notice !== '');
    return notices.length === 0 ? alive : { type: 'alive', notice: notices.join('; ') };
  }
}

/** Each once. */
function namesIn(group: EndpointGroup): string[] {
  let names: Set<string> | undefined;
  for (const endpoint of group.endpoints) {
    if (isUnresolved(endpoint)) names = (names ?? new Set()).add(endpoint.address);
  }
  return names ? [...names] : [];
}
