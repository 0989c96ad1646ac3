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
  #datacenter: string;

  constructor(context: ConsulContext, emit: (update: DiscoveryUpdate) => void) {
    this.#context = context;
    this.#emit = emit;
    this.#datacenter = context.config.datacenter;
  }

  sync(services: readonly (readonly [string, readonly ConsulEntry[]])[]): void {
    this.#datacenter ||= services.flatMap(([, entries]) => entries)[0]?.Node.Datacenter ?? '';
    for (const [name, entries] of services) this.#groups.set(name, this.#map(name, entries));
    this.#emit({ type: 'sync', groups: [...this.#groups.values()] });
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
      const warning = 'what is neither an IP address nor a host name is left out';
      warnOnce(warned, `host ${name}`, () => log.warn({ service: group.service, unusable }, warning));
    }
    return group;
  }
}
