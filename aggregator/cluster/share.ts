// One source among replicas: as long as this replica holds the source's lease, or is alone, it watches the
// source by itself; otherwise it adopts what the holder decided. Shards never leave because a role changes.
import { aborted, childController } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import { sleep } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import { Latest } from '../../lib/latest.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Bucket } from './bus.ts';
import type { AdoptedState, SharedCatalogue } from './catalogue.ts';
import { Knowledge } from './knowledge.ts';
import { keepLease } from './lease.ts';
import type { Role } from './lease.ts';
import { besideTheWatch } from './beside-watch.ts';
import { publish } from './publish.ts';
import { allOf } from './records.ts';
import type { SourceRecord } from './records.ts';
import { SharedSource } from './shared.ts';

export interface ShareOptions {
  readonly catalogue: SharedCatalogue;
  /** Watches the source until its signal aborts: the source's own adapter, attached to the aggregator. */
  watch(signal: AbortSignal): Promise<void>;
  readonly replica: string;
  /** @throws while the broker is not there. */
  leases(): Promise<Bucket>;
  /** @throws while the broker is not there. */
  shards(): Promise<Bucket>;
  maxValueBytes(): number;
  onRole(role: Role): void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly beatMs?: number;
  readonly leaseMs?: number;
  /** Default 5,000 ms. */
  readonly refreshMs?: number;
}

/** Runs until `signal` aborts; never throws for the faults of the broker or the source. */
export async function shareSource(o: ShareOptions, signal: AbortSignal): Promise<void> {
  const roles = new Latest<Role>();
  const { clock, beatMs, leaseMs } = o;
  const lease = keepLease(
    {
      source: o.catalogue.source,
      replica: o.replica,
      bucket: () => o.leases(),
      onRole: (role) => roles.put(role),
      clock,
      ...(beatMs === undefined ? {} : { beatMs }),
      ...(leaseMs === undefined ? {} : { leaseMs }),
    },
    signal,
  ).finally(() => roles.close());
  const watching = new Watching(o, signal);
  let task = ended();
  for await (const role of roles) {
    await task.stop();
    o.log.info({ source: o.catalogue.source, ...role }, 'role in the cluster');
    o.onRole(role);
    task = start(o, role, watching, signal);
  }
  await task.stop();
  await watching.stop();
  await lease;
}

interface Task {
  stop(): Promise<void>;
}

const ended = (): Task => ({ stop: () => Promise.resolve() });

/** The source's own adapter: it goes on over a change between holder and alone. */
class Watching {
  readonly #o: ShareOptions;
  readonly #signal: AbortSignal;
  #running: Task | undefined;
  readonly knowledge = new Knowledge();

  constructor(o: ShareOptions, signal: AbortSignal) {
    this.#o = o;
    this.#signal = signal;
  }

  get isOn(): boolean {
    return this.#running !== undefined;
  }

  start(): void {
    this.#running ??= run((signal) => this.#watch(signal), this.#signal);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { catalogue } = this.#o;
    const unsubscribe = catalogue.subscribe(() => {
      if (catalogue.state()?.state === 'live') this.knowledge.hear();
    });
    try {
      await this.#o.watch(signal);
    } finally {
      unsubscribe();
    }
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop();
  }
}

function start(o: ShareOptions, role: Role, watching: Watching, signal: AbortSignal): Task {
  switch (role.role) {
    case 'alone':
      watching.start();
      return ended();
    case 'holder':
      return run((over) => again(o, (s) => holdOnce(o, role, watching, s), over), signal);
    case 'follower':
      return run(async (over) => {
        await watching.stop();
        await again(o, (s) => followOnce(o, role.claim, watching, s), over);
      }, signal);
  }
}

/** Runs work that ends when it is stopped. */
function run(work: (signal: AbortSignal) => Promise<void>, parent: AbortSignal): Task {
  const { controller, release } = childController(parent);
  const done = work(controller.signal).finally(release);
  return {
    async stop() {
      controller.abort(new Error('another role'));
      await done;
    },
  };
}

/** Again and again, with a pause, until stopped: the broker may come and go. */
async function again(
  o: ShareOptions,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await work(signal);
    } catch (thrown) {
      if (!signal.aborted) {
        o.log.debug({ source: o.catalogue.source, cause: describeError(thrown) }, 'sharing was interrupted');
      }
    }
    await sleep(o.beatMs ?? 1_000, signal, o.clock).catch(() => undefined);
  }
}

const REFRESH_MS = 5_000;

/** A holder writes the source's record every so often. */
const aliveness = ({ clock, refreshMs = REFRESH_MS }: ShareOptions) => ({ clock, silentMs: refreshMs * 4 });

/** Publishes what this replica decides, as long as it holds the lease. */
async function holdOnce(
  o: ShareOptions,
  { token, claim }: Role & { readonly role: 'holder' },
  watching: Watching,
  signal: AbortSignal,
): Promise<void> {
  const bucket = await o.shards();
  const shared = new SharedSource(o.catalogue.source);
  let recheck: (service: string) => void = () => undefined;
  await besideTheWatch(bucket, allOf(shared.source), signal, {
    ...aliveness(o),
    onEntry: (entry, isLive) => {
      shared.take(entry);
      const service = isLive ? shared.foreign(entry, token) : undefined;
      if (service !== undefined) recheck(service);
    },
    async onCurrent(over) {
      // A replica that has watched nothing yet starts from what the holder before it knew, if that knew anything.
      const knowsNothing = o.catalogue.state()?.lastSuccess === undefined;
      if (!watching.isOn && (knowsNothing || shared.record?.lastSuccess !== undefined)) {
        adoptAll(o.catalogue, shared, o.clock.now());
        if (shared.record) watching.knowledge.shared();
      }
      watching.start();
      await publish(
        {
          catalogue: o.catalogue,
          bucket,
          shared,
          token,
          claim,
          knowledge: watching.knowledge,
          maxValueBytes: o.maxValueBytes(),
          clock: o.clock,
          refreshMs: o.refreshMs ?? REFRESH_MS,
          onStart: (fn) => {
            recheck = fn;
          },
        },
        over,
      );
    },
  });
}

/** Adopts what the holder publishes. */
async function followOnce(
  o: ShareOptions,
  claim: string,
  watching: Watching,
  signal: AbortSignal,
): Promise<void> {
  const { catalogue, clock } = o;
  const shared = new SharedSource(catalogue.source);
  let adopted = false;
  const adoptFirst = () => {
    if (!shared.record) return;
    const lastSuccess = catalogue.state()?.lastSuccess;
    // What was said under another claim may be long ago: the holder will speak in a moment.
    const isOld = shared.record.holder !== undefined && shared.record.holder !== claim;
    if (isOld && lastSuccess !== undefined) return;
    if (!watching.knowledge.yieldsTo(shared.record, lastSuccess === undefined)) {
      // Its shards stay; that nobody hears the source now is true of them, too.
      return catalogue.adoptState({ ...stateOf(shared.record, clock.now()), lastSuccess });
    }
    adoptAll(catalogue, shared, clock.now());
    adopted = true;
    watching.knowledge.shared();
  };
  await besideTheWatch(await o.shards(), allOf(shared.source), signal, {
    ...aliveness(o),
    onEntry(entry, isLive) {
      const update = shared.take(entry);
      if (!update || !isLive) return;
      if (!adopted) return adoptFirst();
      if (update.type === 'shard') catalogue.adopt(update.shard);
      else if (update.type === 'gone') catalogue.forget(update.service);
      else catalogue.adoptState(stateOf(update.record, clock.now()));
    },
    async onCurrent(over) {
      adoptFirst();
      await aborted(over);
    },
  });
}

function adoptAll(catalogue: SharedCatalogue, shared: SharedSource, now: number): void {
  if (!shared.record) return;
  catalogue.adoptAll(shared.shards());
  catalogue.adoptState(stateOf(shared.record, now));
}

/** A source that its holder has not listed yet is dark: what is known of it is held. */
function stateOf(record: SourceRecord, now: number): AdoptedState {
  const { listed, darkSince, lastSuccess, cause } = record;
  if (listed) return { darkSince, lastSuccess, cause };
  return {
    darkSince: darkSince ?? lastSuccess ?? now,
    lastSuccess,
    cause: cause || 'a replica takes it over',
  };
}
