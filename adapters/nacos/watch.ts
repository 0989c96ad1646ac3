// One try at a Nacos namespace: the list of services and the instances of each, told as one `sync`; then the
// list at each poll, and the services whose turn it is (turns.ts). A question that no server answers ends the
// try; the supervisor starts the next one.
import { isDeepStrictEqual } from 'node:util';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { canonicalName } from '../instance.ts';
import type { Instance } from '../instance.ts';
import { mapLimit } from '../tasks.ts';
import type { Warner } from '../warn-once.ts';
import type { Listed, NacosClient } from './client.ts';
import { NACOS_ANSWER } from './errors.ts';
import { readService, serviceKey } from './map.ts';
import type { MapOptions } from './map.ts';
import { Turns } from './turns.ts';

export interface NacosContext {
  readonly map: MapOptions;
  /** Whether a service of this group, or under this canonical name, takes part. */
  readonly inGroup: (group: string) => boolean;
  readonly included: (service: string) => boolean;
  readonly pollMs: number;
  readonly refreshMs: number;
  readonly clock: Clock;
  readonly warn: Warner;
  /** The number of instances that cannot be used. */
  readonly onBad: (count: number) => void;
  /** The last good reading of each instance, by key of its service; kept from try to try. */
  readonly good: Map<string, ReadonlyMap<string, Instance>>;
}

/** Questions at once. */
const AT_ONCE = 8;
/** A list that takes long is asked for more rarely: Nacos rests so many times as long, up to MAX_REST_MS. */
const REST = 4;
/** Shorter than what counts as silence. */
const MAX_REST_MS = 5_000;
/** After so many polls a server that lists instances and shows none contradicts itself. */
const MAX_DOUBTS = 3;

export async function watchNacos(
  context: NacosContext,
  client: NacosClient,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<never> {
  const { clock, pollMs, refreshMs } = context;
  const told = new Told(context);
  const turns = new Turns(refreshMs);
  const doubts = new Map<string, number>();

  /** undefined: not to be believed, not yet. */
  const ask = async (service: Listed): Promise<EndpointGroup | undefined> => {
    // Its counts are Nacos's own word that there is nothing to ask for.
    const instances = service.instances === 0 ? [] : await client.instances(service, signal);
    if (instances && (instances.length > 0 || service.instances === 0 || service.asForCallers)) {
      turns.answered(service);
      doubts.delete(service.key);
      return told.put(service, instances);
    }
    turns.again(service);
    const times = (doubts.get(service.key) ?? 0) + 1;
    doubts.set(service.key, times);
    if (times < MAX_DOUBTS) return undefined;
    const what = `it lists ${service.key} with ${service.instances} instances and shows none`;
    throw NACOS_ANSWER(client.server, what);
  };

  /** Canonical names of the services that are gone. */
  const list = async (): Promise<string[]> => {
    const gone = turns.list(told.choose(await client.services(signal)));
    for (const { key } of gone) doubts.delete(key);
    return gone.flatMap((service) => told.delete(service) ?? []);
  };

  await list();
  for (let due = turns.due(0); due.length > 0; due = turns.due(0)) {
    await mapLimit(due, AT_ONCE, ask);
    // Some may have left between list and question.
    if (turns.due(0).length > 0) await list();
  }
  signal.throwIfAborted();
  emit({ type: 'sync', groups: told.all() });

  let tookMs = 0;
  let lookedAt = clock.monotonic();
  for (;;) {
    const restMs = Math.min(MAX_REST_MS, REST * tookMs);
    await sleep(Math.max(pollMs * (0.9 + 0.1 * Math.random()), restMs), signal, clock);
    const began = clock.monotonic();
    for (const service of await list()) emit({ type: 'gone', service });
    tookMs = clock.monotonic() - began;
    const due = turns.due(clock.monotonic() - lookedAt);
    lookedAt = clock.monotonic();
    await mapLimit(due, AT_ONCE, async (service) => {
      const group = await ask(service);
      if (group && !signal.aborted) emit({ type: 'group', group });
    });
  }
}

/** What was said of each service, so that an answer without news says nothing. */
class Told {
  readonly #context: NacosContext;
  /** By key of the service. */
  readonly #groups = new Map<string, EndpointGroup>();
  readonly #bad = new Map<string, number>();

  constructor(context: NacosContext) {
    this.#context = context;
  }

  /** The whole source: what was good in a service that is gone meanwhile is forgotten. */
  all(): EndpointGroup[] {
    const { good } = this.#context;
    for (const key of good.keys()) if (!this.#groups.has(key)) good.delete(key);
    return [...this.#groups.values()];
  }

  /** Those that take part: one for each canonical name, in a stable order. */
  choose(services: readonly Listed[]): Listed[] {
    const { map, inGroup, included, warn } = this.#context;
    const chosen = new Map<string, Listed>();
    for (const listed of [...services].sort((a, b) => (a.key < b.key ? -1 : 1))) {
      const service = canonicalName(serviceKey(listed), map.serviceNamespace);
      if (!inGroup(listed.group) || !included(service)) continue;
      const other = chosen.get(service);
      if (!other) chosen.set(service, listed);
      else {
        const about = { service: listed.key, other: other.key };
        warn.once(`name ${listed.key}`, 'names that differ too little; the second one is left out', about);
      }
    }
    return [...chosen.values()];
  }

  /** undefined: no news. */
  put(service: Listed, instances: Parameters<typeof readService>[1]): EndpointGroup | undefined {
    const { map, good, warn } = this.#context;
    const { key } = service;
    const read = readService(service, instances, map, good.get(key));
    good.set(key, read.good);
    for (const [instance, why] of read.bad) {
      warn.once(`${key} ${instance}`, 'an instance cannot be used', { service: key, instance, why });
    }
    this.#countBad(key, read.bad.size);
    if (isDeepStrictEqual(this.#groups.get(key), read.group)) return undefined;
    this.#groups.set(key, read.group);
    return read.group;
  }

  /** The canonical name of what was told until now. */
  delete({ key }: Listed): string | undefined {
    const service = this.#groups.get(key)?.service;
    this.#groups.delete(key);
    this.#context.good.delete(key);
    this.#countBad(key, 0);
    return service;
  }

  #countBad(key: string, count: number): void {
    if ((this.#bad.get(key) ?? 0) === count) return;
    if (count === 0) this.#bad.delete(key);
    else this.#bad.set(key, count);
    this.#context.onBad([...this.#bad.values()].reduce((sum, each) => sum + each, 0));
  }
}
