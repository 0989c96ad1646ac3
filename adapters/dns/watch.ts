// One try at a list of names: each asked once, told as one `sync`; then each asked again when its answer has
// run out. A name that cannot be answered keeps its last answer; when none can, or when all have vanished at
// once, the try ends and the supervisor starts the next one.
import { isDeepStrictEqual } from 'node:util';
import type { DnsName } from '../../config/schema.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError, toError } from '../../lib/errors.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { canonicalName } from '../instance.ts';
import type { InstanceOptions } from '../instance.ts';
import type { DnsAnswer, DnsClient, DnsTarget } from './client.ts';
import { DNS_ALL_GONE } from './errors.ts';
import { groupFromDns, nameOf, serviceKey } from './map.ts';

export interface DnsContext {
  readonly names: readonly DnsName[];
  /** For messages. */
  readonly servers: string;
  readonly instances: InstanceOptions;
  /** For answers without a time to live. */
  readonly pollMs: number;
  /** No name is asked more often, whatever its time to live. */
  readonly minMs: number;
  /** … nor more rarely. */
  readonly maxMs: number;
  readonly clock: Clock;
  /** Last good answers; kept from try to try. */
  readonly known: Map<DnsName, readonly DnsTarget[]>;
  /** Names that keep an old answer, or ''. */
  notice: string;
}

/** Questions at a time. */
const AT_ONCE = 16;

export async function watchDns(
  context: DnsContext,
  client: DnsClient,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<never> {
  const { clock, names } = context;
  const due = new Map<DnsName, number>();
  const failing = new Map<DnsName, Error>();
  await round(context, client, { names, due, failing }, signal);
  const told = new Map(groupsOf(context).map((group) => [group.service, group]));
  emit({ type: 'sync', groups: [...told.values()] });
  for (;;) {
    const next = Math.min(clock.monotonic() + context.maxMs, ...due.values());
    await sleep(Math.max(context.minMs, next - clock.monotonic()), signal, clock);
    const now = clock.monotonic();
    const ripe = names.filter((entry) => (due.get(entry) ?? 0) <= now);
    await round(context, client, { names: ripe, due, failing }, signal);
    for (const group of groupsOf(context)) {
      if (isDeepStrictEqual(told.get(group.service), group)) continue;
      told.set(group.service, group);
      emit({ type: 'group', group });
    }
  }
}

interface Round {
  readonly names: readonly DnsName[];
  /** When each name is to be asked again, monotonic milliseconds. */
  readonly due: Map<DnsName, number>;
  readonly failing: Map<DnsName, Error>;
}

async function round(
  context: DnsContext,
  client: DnsClient,
  { names, due, failing }: Round,
  signal: AbortSignal,
): Promise<void> {
  const { known, clock } = context;
  const answers = new Map<DnsName, DnsAnswer>();
  const queue = names.values();
  const worker = async () => {
    for (const entry of queue) {
      signal.throwIfAborted();
      try {
        answers.set(entry, await client.resolve(entry));
        failing.delete(entry);
      } catch (thrown) {
        failing.set(entry, toError(thrown));
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  signal.throwIfAborted();
  refuseSilence(context, failing);
  refuseEmptiness(context, answers);
  for (const [entry, { targets }] of answers) known.set(entry, targets);
  for (const entry of names) due.set(entry, clock.monotonic() + holds(context, answers.get(entry)));
  const first = [...failing.values()][0];
  context.notice = first
    ? `${failing.size} of ${context.names.length} names keep an old answer: ${describeError(first)}`
    : '';
}

/** A name without any answer yet must not be told as empty; a server that answers nothing is down. */
function refuseSilence({ names, known }: DnsContext, failing: ReadonlyMap<DnsName, Error>): void {
  for (const [entry, error] of failing) {
    if (failing.size === names.length || !known.has(entry)) throw error;
  }
}

/** A name server that lost its zones, or another one, denies everything it is asked. */
function refuseEmptiness(context: DnsContext, answers: ReadonlyMap<DnsName, DnsAnswer>): void {
  const { known, names, servers } = context;
  const had = [...known.values()].some((targets) => targets.length > 0);
  const has = names.some((entry) => (answers.get(entry)?.targets ?? known.get(entry) ?? []).length > 0);
  if (had && !has) throw DNS_ALL_GONE(servers, names.length);
}

function holds({ pollMs, minMs, maxMs }: DnsContext, answer: DnsAnswer | undefined): number {
  const ms = answer?.ttl === undefined ? pollMs : answer.ttl * 1_000;
  return Math.min(maxMs, Math.max(minMs, ms));
}

function groupsOf({ names, known, instances }: DnsContext): EndpointGroup[] {
  const services = new Map<string, DnsName[]>();
  for (const entry of names) {
    const service = canonicalName(serviceKey(entry), instances.serviceNamespace);
    services.set(service, [...(services.get(service) ?? []), entry]);
  }
  return [...services.values()].map((entries) => {
    const said = entries.map((entry) => ({ entry, targets: known.get(entry) ?? [] }));
    return groupFromDns(
      said.sort((a, b) => (nameOf(a.entry) < nameOf(b.entry) ? -1 : 1)),
      instances,
    );
  });
}
