// One try at a Consul datacenter: the catalog and every service in it once, told as one `sync`; then a
// watch on the catalog and on up to `maxWatches` services, and the remaining services asked in turn. Any
// question that fails ends the try; the supervisor starts the next one.
import { isDeepStrictEqual } from 'node:util';
import type { ConsulSource } from '../../config/schema.ts';
import { childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { serviceName } from '../../model/names.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { serviceFilter } from '../filter.ts';
import type { ConsulEntry } from './answers.ts';
import { blockingLoop } from './blocking.ts';
import type { Ask, ConsulClient } from './client.ts';
import { groupFromConsul } from './map.ts';
import { mapLimit, taskGroup } from './tasks.ts';
import type { TaskGroup } from './tasks.ts';

export interface ConsulLimits {
  /** How long Consul may hold a question. Default 55,000 ms. */
  readonly waitMs: number;
  /** An answer later than this (after the wait) is a fault. Default 10,000 ms. */
  readonly answerMs: number;
  /** Between two questions of one watch. Default 500 ms. */
  readonly minIntervalMs: number;
  /** Services watched at once; the others are asked in turn. Default 64. */
  readonly maxWatches: number;
  /** Pause between two rounds over the services that are not watched. Default 5,000 ms. */
  readonly roundMs: number;
}

export interface ConsulContext {
  readonly config: ConsulSource;
  readonly limits: ConsulLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** What was warned of already, over all tries of the source. */
  readonly warned: Set<string>;
}

/** Consul's own entry in the catalog: its servers. */
const OWN_SERVICE = 'consul';
/** Questions at once in a round over the services that are not watched. */
const ROUND_AT_ONCE = 8;

export async function watchConsul(
  context: ConsulContext,
  client: ConsulClient,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<void> {
  const { limits } = context;
  const at = (index: string, from: AbortSignal, waitMs: number = limits.waitMs): Ask => ({
    index,
    waitMs,
    deadlineMs: limits.answerMs,
    signal: from,
  });
  const catalog = await client.services(at('0', signal));
  const names = pickNames(context, catalog.data);
  const answers = await mapLimit(names, limits.maxWatches, (name) => client.health(name, at('0', signal)));

  const told = new Told(context, emit);
  told.sync(names.map((name, n) => [name, answers[n]?.data ?? []]));
  const group = taskGroup(signal);
  const watches = new ServiceWatches(context, client, group, told, at);
  names.forEach((name, n) => watches.add(name, answers[n]?.index ?? '0'));
  group.run((inner) => watches.rounds(inner));
  group.run((inner) =>
    blockingLoop(
      {
        ...limits,
        from: catalog.index,
        clock: context.clock,
        ask: (index, waitMs) => client.services(at(index, inner, waitMs)),
        onData: (list) => watches.keepOnly(pickNames(context, list)),
      },
      inner,
    ),
  );
  await group.over();
}

/** Names to follow: one for each canonical name, in a stable order. */
function pickNames({ config, warned, log }: ConsulContext, names: readonly string[]): string[] {
  const included = serviceFilter(config.include.services);
  const chosen = new Map<string, string>();
  for (const name of [...names].sort()) {
    const service = serviceName(name, config.serviceNamespace);
    if (name === OWN_SERVICE || !included(service)) continue;
    const other = chosen.get(service);
    if (other === undefined) chosen.set(service, name);
    else
      warnOnce(warned, `case ${name}`, () =>
        log.warn({ name, other }, 'names differ in case only, left out'),
      );
  }
  return [...chosen.values()];
}

function warnOnce(warned: Set<string>, key: string, warn: () => void): void {
  if (warned.has(key)) return;
  warned.add(key);
  warn();
}

/** What was said last of each service, so that an answer without news says nothing. */
class Told {
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
    const { group, hostNames } = groupFromConsul(name, entries, { ...config, datacenter: this.#datacenter });
    if (hostNames.length > 0) {
      const warning = 'addresses that are host names are left out: they are not resolved yet';
      warnOnce(warned, `host ${name}`, () => log.warn({ service: group.service, hostNames }, warning));
    }
    return group;
  }
}

/** Which services are watched, and which wait for their turn. */
class ServiceWatches {
  readonly #context: ConsulContext;
  readonly #client: ConsulClient;
  readonly #group: TaskGroup;
  readonly #told: Told;
  readonly #ask: (index: string, signal: AbortSignal, waitMs?: number) => Ask;
  readonly #watched = new Map<string, AbortController>();
  readonly #inTurn = new Set<string>();

  constructor(
    context: ConsulContext,
    client: ConsulClient,
    group: TaskGroup,
    told: Told,
    ask: (index: string, signal: AbortSignal, waitMs?: number) => Ask,
  ) {
    this.#context = context;
    this.#client = client;
    this.#group = group;
    this.#told = told;
    this.#ask = ask;
  }

  /** @param from index of what was told already; '0' for a new service. */
  add(name: string, from: string): void {
    if (this.#watched.size < this.#context.limits.maxWatches) this.#watch(name, from);
    else this.#inTurn.add(name);
  }

  /** The catalog's new list: what is not in it is gone, what is new is watched. */
  keepOnly(names: readonly string[]): void {
    const listed = new Set(names);
    for (const name of [...this.#watched.keys(), ...this.#inTurn]) {
      if (listed.has(name)) continue;
      this.#watched.get(name)?.abort(new Error('no longer in the catalog'));
      this.#watched.delete(name);
      this.#inTurn.delete(name);
      this.#told.gone(name);
    }
    for (const name of this.#inTurn) {
      if (this.#watched.size >= this.#context.limits.maxWatches) break;
      this.#inTurn.delete(name);
      this.#watch(name, '0');
    }
    for (const name of names) if (!this.#watched.has(name) && !this.#inTurn.has(name)) this.add(name, '0');
  }

  /** Asks the services that are not watched, again and again. */
  async rounds(signal: AbortSignal): Promise<never> {
    const { clock, limits } = this.#context;
    for (;;) {
      await sleep(limits.roundMs, signal, clock);
      await mapLimit([...this.#inTurn], ROUND_AT_ONCE, async (name) => {
        if (!this.#inTurn.has(name)) return;
        const { data } = await this.#client.health(name, this.#ask('0', signal));
        if (this.#inTurn.has(name)) this.#told.now(name, data);
      });
    }
  }

  #watch(name: string, from: string): void {
    const { clock, limits } = this.#context;
    const { controller, release } = childController(this.#group.signal);
    const { signal } = controller;
    this.#watched.set(name, controller);
    this.#group.run(async (group) => {
      try {
        await blockingLoop(
          {
            ...limits,
            from,
            clock,
            ask: (index, waitMs) => this.#client.health(name, this.#ask(index, signal, waitMs)),
            onData: (entries) => this.#told.now(name, entries),
          },
          signal,
        );
      } catch (thrown) {
        // Only this watch was told to stop: its service has left the catalog.
        if (!signal.aborted || group.aborted) throw thrown;
      } finally {
        release();
      }
    });
  }
}
