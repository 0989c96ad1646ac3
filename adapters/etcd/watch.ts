// One try at an etcd prefix: all keys at one revision, told as one `sync`; then the watch from the next
// revision on. A compaction under way means list anew, in the same try; anything else that goes wrong ends
// the try, and the supervisor starts the next one.
import { setImmediate as breathe } from 'node:timers/promises';
import type { EtcdSource } from '../../config/schema.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { InstancesOptions } from '../instances.ts';
import { Instances } from '../instances.ts';
import type { Warner } from '../warn-once.ts';
import type { EtcdClient, EtcdEntry } from './client.ts';
import { ETCD_COMPACTED, ETCD_LAYOUT } from './errors.ts';
import type { Layout } from './layouts.ts';
import type { EtcdEvent } from './stream.ts';

export interface EtcdContext {
  readonly config: EtcdSource;
  /** Ends with a slash, or is empty. */
  readonly prefix: string;
  readonly layout: Layout;
  readonly instances: InstancesOptions;
  /** Keys per page of a list. Default 500. */
  readonly pageSize: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** The number of keys that cannot be used. */
  onBad(count: number): void;
  readonly warn: Warner;
  /** What the last good list and the changes since say; kept from try to try. */
  known: Instances | undefined;
}

/** Between two looks at the event loop: values read, services turned into groups. */
const KEYS_AT_ONCE = 100;
const GROUPS_AT_ONCE = 100;
/** Between two lists after compactions: an etcd that compacts all the time must not be listed all the time. */
const AFTER_COMPACTION_MS = 1_000;

export async function watchEtcd(
  context: EtcdContext,
  client: EtcdClient,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      const revision = await list(context, client, emit, signal);
      await client.watch(
        {
          revision: revision + 1n,
          onEvents: (events) => {
            for (const update of apply(context, events)) emit(update);
          },
        },
        signal,
      );
    } catch (thrown) {
      signal.throwIfAborted();
      if (!isCompacted(thrown)) throw thrown;
      context.log.info('etcd compacted its history, listing anew');
      await sleep(AFTER_COMPACTION_MS, signal, context.clock);
    }
  }
}

function isCompacted(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === ETCD_COMPACTED.code;
}

/** The revision of the list. */
async function list(
  context: EtcdContext,
  client: EtcdClient,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<bigint> {
  const { layout, config, prefix } = context;
  const next = new Instances(context.instances, context.known);
  let keys = 0;
  let revision: bigint | undefined;
  let from: Buffer | undefined;
  do {
    const page = await client.page({ from, revision, limit: context.pageSize });
    signal.throwIfAborted();
    revision ??= page.revision;
    for (const entry of page.entries) {
      put(context, next, entry);
      keys += 1;
      if (keys % KEYS_AT_ONCE === 0) await breathe();
    }
    from = page.next;
  } while (from);
  const [first] = next.bad;
  if (first && next.hopeless) {
    throw ETCD_LAYOUT(config.layout, prefix, first[0], first[1], layout.expected);
  }
  if (keys === 0) context.warn.once('empty', 'no key begins with the prefix', { prefix });
  else context.warn.forget('empty');
  const groups: EndpointGroup[] = [];
  for (const [index, service] of next.services.entries()) {
    if (index % GROUPS_AT_ONCE === GROUPS_AT_ONCE - 1) await breathe();
    const group = next.group(service);
    if (group) groups.push(group);
  }
  signal.throwIfAborted();
  next.settled();
  context.known = next;
  context.onBad(next.bad.size);
  emit({ type: 'sync', groups });
  return revision;
}

function apply(context: EtcdContext, events: readonly EtcdEvent[]): DiscoveryUpdate[] {
  const { known, prefix, layout } = context;
  if (!known) return [];
  const changed = new Set<string>();
  for (const { key, value } of events) {
    const service = value === undefined ? undefined : put(context, known, { key, value });
    if (service !== undefined) changed.add(service);
    if (value !== undefined) continue;
    const name = layout.service(key.slice(prefix.length));
    known.forget(key);
    context.warn.forget(key);
    const left = name && known.delete(key, name);
    if (left !== undefined) changed.add(left);
  }
  context.onBad(known.bad.size);
  return [...changed].map((service): DiscoveryUpdate => {
    const group = known.group(service);
    return group ? { type: 'group', group } : { type: 'gone', service };
  });
}

/** The service when something about it changed. */
function put(context: EtcdContext, into: Instances, { key, value }: EtcdEntry): string | undefined {
  const { layout, prefix, instances, warn } = context;
  const name = layout.service(key.slice(prefix.length));
  if (!name) {
    into.refuse(key, 'the key names no service');
    warn.once(key, 'a key cannot be used', { key, why: 'it names no service', expected: layout.expected });
    return undefined;
  }
  if (!into.includes(name)) return undefined;
  const reading = layout.read(value, instances);
  if (reading.type === 'bad') {
    const facts = { key, why: reading.why, expected: layout.expected };
    warn.once(key, 'a value cannot be used, its last good one is kept', facts);
  } else warn.forget(key);
  return into.put(key, name, reading);
}
