// Our own copy of a Eureka registry: built from a full list, changed by deltas, checked by the hash that
// Eureka sends along. One bad instance never loses another: it keeps what it said last that was good. A delta
// never takes it back in time: Eureka's caches may hold a delta that is older than the list they gave before.
// Knows no HTTP and tells nobody.
import { isDeepStrictEqual } from 'node:util';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { canonicalName, groupFromInstances } from '../instance.ts';
import type { Instance, InstanceOptions } from '../instance.ts';
import type { EurekaApp, EurekaInstance } from './answers.ts';
import type { InstanceRef } from './client.ts';
import { aliasesOf, instanceId, readEurekaInstance } from './map.ts';

export interface CopyOptions extends InstanceOptions {
  /** Whether a canonical service name takes part. */
  included(service: string): boolean;
}

interface Entry {
  /** As Eureka spells it. */
  readonly app: string;
  /** As Eureka spells it: the hash counts these. */
  readonly status: string;
  readonly aliases: readonly string[];
  /** undefined: it was bad from the start, or its service does not take part. */
  readonly instance: Instance | undefined;
  /** Since when, by the server's clock; 0: it does not say. */
  readonly at: number;
}

/** What is gone is remembered, so that an old delta does not bring it back: so many instances. */
const MAX_GONE = 10_000;

export class RegistryCopy {
  readonly #options: CopyOptions;
  /** By canonical service name, then by application and instance id. */
  readonly #services = new Map<string, Map<string, Entry>>();
  /** Why an instance cannot be used, by APP/ID. */
  readonly bad = new Map<string, string>();
  /** When an instance that is gone was last heard of, by APP/ID. */
  readonly #gone = new Map<string, number>();

  constructor(options: CopyOptions) {
    this.#options = options;
  }

  /**
   * A part of a full list.
   * @param before its values stand in for instances that are bad here.
   */
  add({ name, instance }: EurekaApp, before?: RegistryCopy): void {
    for (const said of instance) this.#put(name, said, before);
  }

  /** A part of a delta; they must come in order, which is that of the changes. The service if it changed. */
  apply({ name, instance }: EurekaApp): string[] {
    let changed = false;
    for (const said of instance) {
      if (this.#isOld(name, said)) continue;
      const isGone = said.actionType === 'DELETED';
      if (isGone ? this.#delete(name, said) : this.#put(name, said, this)) changed = true;
    }
    return changed ? [this.#service(name)] : [];
  }

  /** As Eureka writes it: `DOWN_1_UP_2_`, '' for none. */
  hash(): string {
    const counts = new Map<string, number>();
    for (const entries of this.#services.values()) {
      for (const { status } of entries.values()) counts.set(status, (counts.get(status) ?? 0) + 1);
    }
    return [...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([status, count]) => `${status}_${count}_`)
      .join('');
  }

  /** Names of the services that take part. */
  services(): string[] {
    return [...this.#services.keys()].filter((service) => this.#options.included(service)).sort();
  }

  /** undefined: no instance is registered (any more). */
  group(service: string): EndpointGroup | undefined {
    const entries = this.#services.get(service);
    if (!entries || !this.#options.included(service)) return undefined;
    // Eureka promises no order; equal content must give an equal group.
    const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
    const apps = [...new Set(sorted.map(({ app }) => app))];
    const aliases = [...apps, ...sorted.flatMap((entry) => entry.aliases)];
    const instances = sorted.flatMap(({ instance }) => instance ?? []);
    return groupFromInstances({ name: apps[0] ?? service, namespace: '', aliases }, instances, this.#options);
  }

  /** What we knew before and a list does not have; nobody said that it is gone. Of services that take part. */
  missing(before: RegistryCopy): InstanceRef[] {
    return before.services().flatMap((service) => {
      const listed = this.#services.get(service);
      const known = [...(before.#services.get(service) ?? [])];
      return known
        .filter(([key]) => !listed?.has(key))
        .map(([key, { app }]) => ({ app, id: key.slice(app.length + 1) }));
    });
  }

  /** After the last part. A list is believed whatever its age; remembered is what it does not have any more. */
  remember(before: RegistryCopy): void {
    for (const [key, at] of before.#gone) this.#bury(key, at);
    for (const [service, entries] of before.#services) {
      for (const [key, { at }] of entries) if (!this.#services.get(service)?.has(key)) this.#bury(key, at);
    }
  }

  #bury(key: string, at: number): void {
    if (at === 0) return;
    this.#gone.delete(key);
    this.#gone.set(key, at);
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > MAX_GONE && oldest !== undefined) this.#gone.delete(oldest);
  }

  /** True when we know better already. The hash then tells whether anything is missed by passing it over. */
  #isOld(app: string, said: EurekaInstance): boolean {
    const at = said.lastUpdatedTimestamp;
    if (at === 0) return false;
    const key = `${app}/${instanceId(said)}`;
    const known = this.#services.get(this.#service(app))?.get(key);
    return known ? at < known.at : at <= (this.#gone.get(key) ?? -1);
  }

  /** False when it is what we had. */
  #put(app: string, said: EurekaInstance, before: RegistryCopy | undefined): boolean {
    const service = this.#service(app);
    const key = `${app}/${instanceId(said)}`;
    const entries = this.#services.get(service) ?? new Map<string, Entry>();
    this.#services.set(service, entries);
    const entry: Entry = {
      app,
      status: said.status,
      aliases: aliasesOf(said),
      instance: this.#read(service, key, said, before),
      at: said.lastUpdatedTimestamp,
    };
    if (isDeepStrictEqual(entries.get(key), entry)) return false;
    entries.set(key, entry);
    return true;
  }

  #read(
    service: string,
    key: string,
    said: EurekaInstance,
    before: RegistryCopy | undefined,
  ): Instance | undefined {
    if (!this.#options.included(service)) return undefined;
    const reading = readEurekaInstance(said, this.#options);
    if (reading.type !== 'bad') this.bad.delete(key);
    if (reading.type === 'instance') return reading.instance;
    if (reading.type === 'bad') this.bad.set(key, reading.why);
    return before ? before.#services.get(service)?.get(key)?.instance : undefined;
  }

  #delete(app: string, said: EurekaInstance): boolean {
    const service = this.#service(app);
    const key = `${app}/${instanceId(said)}`;
    const entries = this.#services.get(service);
    this.bad.delete(key);
    const at = Math.max(said.lastUpdatedTimestamp, entries?.get(key)?.at ?? 0);
    if (!entries?.delete(key)) return false;
    this.#bury(key, at);
    if (entries.size === 0) this.#services.delete(service);
    return true;
  }

  #service(app: string): string {
    return canonicalName({ name: app, namespace: '', aliases: [] }, this.#options.serviceNamespace);
  }
}
