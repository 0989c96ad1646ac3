// What was said last of each service, so that an answer without news says nothing. Asks nobody.
import { isDeepStrictEqual } from 'node:util';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { serviceName } from '../../model/names.ts';
import type { ConsulEntry } from './answers.ts';
import type { ConsulContext } from './context.ts';
import { warnOnce } from './context.ts';
import { groupFromConsul } from './map.ts';

export class Told {
  readonly #context: ConsulContext;
  readonly #emit: (update: DiscoveryUpdate) => void;
  readonly #groups = new Map<string, EndpointGroup>();
  /** Of the first list, those without instances. */
  readonly #empty = new Set<string>();
  #datacenter: string;

  constructor(context: ConsulContext, emit: (update: DiscoveryUpdate) => void) {
    this.#context = context;
    this.#emit = emit;
    this.#datacenter = context.config.datacenter;
  }

  /** Part of the first list; told by sync(). As each answer comes, so that none waits to be made smaller. */
  first(name: string, entries: readonly ConsulEntry[]): void {
    this.#datacenter ||= entries[0]?.Node.Datacenter ?? '';
    this.#groups.set(name, this.#map(name, entries));
    if (entries.length === 0) this.#empty.add(name);
  }

  /** @param names all that were given to first(), in the order in which they are to be told. */
  sync(names: readonly string[]): void {
    // Without instances nobody said in which datacenter it is; by now somebody may have.
    for (const name of this.#empty) this.#groups.set(name, this.#map(name, []));
    this.#empty.clear();
    this.#emit({ type: 'sync', groups: names.flatMap((name) => this.#groups.get(name) ?? []) });
  }

  now(name: string, entries: readonly ConsulEntry[]): void {
    this.#datacenter ||= entries[0]?.Node.Datacenter ?? '';
    const group = this.#map(name, entries);
    if (isDeepStrictEqual(this.#groups.get(name), group)) return;
    this.#groups.set(name, group);
    this.#emit({ type: 'group', group });
  }

  gone(name: string): void {
    if (!this.#groups.delete(name)) return;
    this.#emit({ type: 'gone', service: serviceName(name, this.#context.config.serviceNamespace) });
  }

  #map(name: string, entries: readonly ConsulEntry[]): EndpointGroup {
    const { config, log, warned } = this.#context;
    const { group, unusable } = groupFromConsul(name, entries, { ...config, datacenter: this.#datacenter });
    if (unusable.length > 0) {
      const warning = 'what is neither an IP address nor a host name, or has no port, is left out';
      warnOnce(warned, `host ${name}`, () => log.warn({ service: group.service, unusable }, warning));
    }
    return group;
  }
}
