// Everything that the keys of a key-value registry say, by service. One bad value never loses another: its
// key keeps the last value that was good. Knows no registry and does no I/O.
import { isDeepStrictEqual } from 'node:util';
import type { Endpoint, EndpointGroup } from '../model/endpoint.ts';
import { canonicalName, groupFromInstances } from './instance.ts';
import type { Instance, InstanceOptions, Reading, ServiceKey } from './instance.ts';

export interface InstancesOptions extends InstanceOptions {
  /** Whether a canonical service name takes part. */
  included(service: string): boolean;
  /** Weights mean something among the instances of one service only: 100 and 200 become 1 and 2. */
  readonly relativeWeights?: boolean;
}

interface Service {
  /** As it was spelled by its first key. */
  readonly name: ServiceKey;
  readonly instances: Map<string, Instance>;
}

function reduceWeights(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const divisor = endpoints.map(({ weight }) => weight).reduce(greatestCommonDivisor, 0);
  if (divisor <= 1) return endpoints;
  return endpoints.map((endpoint) => ({ ...endpoint, weight: endpoint.weight / divisor }));
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

export class Instances {
  readonly #options: InstancesOptions;
  readonly #services = new Map<string, Service>();
  readonly #bad = new Map<string, string>();
  #before: Instances | undefined;
  #hasGood = false;

  /** @param before what was known until now; asked for the last good value of a key until settled(). */
  constructor(options: InstancesOptions, before?: Instances) {
    this.#options = options;
    this.#before = before;
  }

  /** Everything was put once: what was known before is forgotten. */
  settled(): void {
    this.#before = undefined;
  }

  /** Values that do not fit the layout, by key. */
  get bad(): ReadonlyMap<string, string> {
    return this.#bad;
  }

  /** There are values, and none of them ever fitted: they are of another layout. */
  get hopeless(): boolean {
    return this.#bad.size > 0 && !this.#hasGood;
  }

  /** One sentence about the values that do not fit; '' when all do. */
  get notice(): string {
    const [first] = this.#bad;
    if (!first) return '';
    const [key, why] = first;
    return `${this.#bad.size === 1 ? 'one entry' : `${this.#bad.size} entries`} cannot be used, such as ${key}: ${why}`;
  }

  /** Names of all services, sorted. */
  get services(): string[] {
    return [...this.#services.keys()].sort();
  }

  includes(name: ServiceKey): boolean {
    return this.#options.included(canonicalName(name, this.#options.serviceNamespace));
  }

  /** A service that exists without instances. Returns its name when that is news. */
  addService(name: ServiceKey): string | undefined {
    const service = canonicalName(name, this.#options.serviceNamespace);
    if (this.#services.has(service) || !this.#options.included(service)) return undefined;
    this.#services.set(service, { name, instances: new Map() });
    return service;
  }

  /** Returns the service when something about it changed. */
  removeService(name: ServiceKey): string | undefined {
    const service = canonicalName(name, this.#options.serviceNamespace);
    for (const key of this.#services.get(service)?.instances.keys() ?? []) this.#bad.delete(key);
    return this.#services.delete(service) ? service : undefined;
  }

  /** Returns the service when something about it changed. */
  put(key: string, name: ServiceKey, reading: Reading): string | undefined {
    if (reading.type === 'nothing') return this.delete(key, name);
    const service = canonicalName(name, this.#options.serviceNamespace);
    if (!this.#options.included(service)) return undefined;
    if (reading.type === 'bad') this.#bad.set(key, reading.why);
    else {
      this.#bad.delete(key);
      this.#hasGood = true;
    }
    const held = this.#instance(service, key);
    const lastGood = () => held ?? (this.#before ? this.#before.#instance(service, key) : undefined);
    const instance = reading.type === 'instance' ? reading.instance : lastGood();
    if (instance === undefined || isDeepStrictEqual(instance, held)) return undefined;
    const entry = this.#services.get(service) ?? { name, instances: new Map<string, Instance>() };
    entry.instances.set(key, instance);
    this.#services.set(service, entry);
    return service;
  }

  /** A key that says not even which service it belongs to. */
  refuse(key: string, why: string): void {
    this.#bad.set(key, why);
  }

  /** The counterpart of refuse(). */
  forget(key: string): void {
    this.#bad.delete(key);
  }

  /**
   * Returns the service when something about it changed.
   * @param keepService the service still exists when its last key has gone.
   */
  delete(key: string, name: ServiceKey, keepService = false): string | undefined {
    this.#bad.delete(key);
    const service = canonicalName(name, this.#options.serviceNamespace);
    const entry = this.#services.get(service);
    if (!entry?.instances.delete(key)) return undefined;
    if (entry.instances.size === 0 && !keepService) this.#services.delete(service);
    return service;
  }

  /** undefined: there is no such service (any more). */
  group(service: string): EndpointGroup | undefined {
    const entry = this.#services.get(service);
    if (!entry) return undefined;
    // The order of keys, not of their arrival: equal content must give an equal group.
    const keys = [...entry.instances.keys()].sort();
    const instances = keys.flatMap((key) => entry.instances.get(key) ?? []);
    const group = groupFromInstances(entry.name, instances, this.#options);
    return this.#options.relativeWeights ? { ...group, endpoints: reduceWeights(group.endpoints) } : group;
  }

  #instance(service: string, key: string): Instance | undefined {
    return this.#services.get(service)?.instances.get(key);
  }
}
