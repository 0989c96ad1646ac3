// The holder's side: writes what differs between its own shards and what the bucket holds, until its lease or
// the broker is lost. The newest state of a service wins; a service that changes faster than the broker writes
// is written less often, never late for ever.
import { aborted } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import { sleep } from '../../lib/clock.ts';
import type { Bucket } from './bus.ts';
import type { SharedCatalogue } from './catalogue.ts';
import type { Knowledge } from './knowledge.ts';
import { hashOf, partKey, shardKey, sourceKey, writeGone, writeShard, writeSource } from './records.ts';
import type { SourceRecord, Written } from './records.ts';
import type { SharedSource } from './shared.ts';

export interface PublishOptions {
  readonly catalogue: SharedCatalogue;
  readonly bucket: Bucket;
  readonly shared: SharedSource;
  readonly token: number;
  /** Of this one time that the lease is held. */
  readonly claim: string;
  /** Told when all that this replica heard is written. */
  readonly knowledge: Knowledge;
  readonly maxValueBytes: number;
  readonly clock: Clock;
  /** The source's own record is written again this often, so that others see that it is cared for. */
  readonly refreshMs: number;
  /** Gets a function by which to say that somebody else wrote a service's record. */
  onStart(recheck: (service: string) => void): void;
}

/** Writes under way at once. */
const IN_FLIGHT = 32;

/** Resolves when another replica turns out to hold the lease, or when `signal` aborts; rejects with the broker's faults. */
export async function publish(o: PublishOptions, signal: AbortSignal): Promise<void> {
  const work = new Work();
  const unsubscribe = o.catalogue.subscribe((service) => work.add(service));
  try {
    const announced = await announce(o);
    if (announced === undefined) return;
    for (const service of o.catalogue.shards().keys()) work.add(service);
    // What the source no longer has is known only once it was listed; until then it stays as it is.
    if (isListed(o)) for (const service of o.shared.services()) work.add(service);
    work.add(undefined);
    o.onStart((service) => work.add(service));
    await Promise.race([refresh(o, work, signal), write(o, work, announced, signal)]);
  } finally {
    unsubscribe();
  }
}

const isListed = ({ catalogue }: PublishOptions): boolean => catalogue.state()?.state === 'live';

/** Services to be written, and whether the source's own record is. */
class Work {
  readonly #services = new Set<string>();
  #source = false;
  #wake: (() => void) | undefined;

  add(service: string | undefined): void {
    if (service === undefined) this.#source = true;
    else this.#services.add(service);
    this.#wake?.();
  }

  take(max: number): readonly string[] {
    const taken: string[] = [];
    for (const service of this.#services) {
      if (taken.length >= max) break;
      taken.push(service);
    }
    for (const service of taken) this.#services.delete(service);
    return taken;
  }

  takeSource(): boolean {
    const source = this.#source;
    this.#source = false;
    return source;
  }

  async more(): Promise<void> {
    if (this.#services.size > 0 || this.#source) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }
}

/** The first record under a new token; undefined when the lease went on to somebody else meanwhile. */
async function announce(o: PublishOptions): Promise<number | undefined> {
  if ((o.shared.record?.token ?? 0) > o.token) return undefined;
  const record: SourceRecord = { ...sourceRecord(o, undefined), listed: false };
  const key = sourceKey(o.catalogue.source);
  const revision = await o.bucket.write(key, writeSource(record), o.shared.sourceRevision);
  if (revision !== undefined) o.shared.take({ key, revision, value: writeSource(record) });
  return revision;
}

function sourceRecord(o: PublishOptions, since: number | undefined): SourceRecord {
  const state = o.catalogue.state();
  return {
    token: o.token,
    ...(since === undefined ? {} : { since }),
    kind: o.catalogue.kind,
    holder: o.claim,
    listed: isListed(o),
    ...(o.knowledge.wasListed ? { wasListed: true } : {}),
    ...(state?.staleSince === undefined ? {} : { darkSince: state.staleSince }),
    ...(state?.lastSuccess === undefined ? {} : { lastSuccess: state.lastSuccess }),
    cause: state?.cause ?? '',
  };
}

async function refresh(o: PublishOptions, work: Work, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(o.refreshMs, signal, o.clock).catch(() => undefined);
    work.add(undefined);
  }
}

async function write(o: PublishOptions, work: Work, announced: number, signal: AbortSignal): Promise<void> {
  let listed = isListed(o);
  while (!signal.aborted) {
    await Promise.race([work.more(), aborted(signal)]);
    if (signal.aborted) return;
    if (!listed && isListed(o)) {
      listed = true;
      for (const service of o.shared.services()) work.add(service);
    }
    const batch = work.take(IN_FLIGHT);
    const results = await Promise.all(batch.map((service) => writeService(o, service, work)));
    if (results.includes('lost')) return;
    // The source's record says "all of this was written", so it comes behind the shards.
    if (batch.length === 0 && work.takeSource() && !(await writeSourceRecord(o, announced))) return;
  }
}

/** False when another replica has announced a newer token. */
async function writeSourceRecord(o: PublishOptions, announced: number): Promise<boolean> {
  const { heard } = o.knowledge;
  const value = writeSource(sourceRecord(o, announced));
  const key = sourceKey(o.catalogue.source);
  const revision = await o.bucket.write(key, value, o.shared.sourceRevision);
  if (revision === undefined) return false;
  o.shared.take({ key, revision, value });
  o.knowledge.shared(heard);
  return true;
}

async function writeService(o: PublishOptions, service: string, work: Work): Promise<'done' | 'lost'> {
  const { shared, catalogue, bucket, token } = o;
  const shard = catalogue.shards().get(service);
  // Until this replica has listed the source, what it does not know it has not seen go.
  if (!shard && !isListed(o)) return 'done';
  if (shared.says(service, shard ? hashOf(shard) : '')) return 'done';
  const written = shard ? writeShard(shard, token, o.maxValueBytes) : writeGone(token);
  const old = shared.partKeysOf(service);
  if (!(await writeParts(o, service, written))) return 'lost';
  const key = shardKey(catalogue.source, service);
  const revision = await bucket.write(key, written.value, shared.revisionOf(service));
  if (revision === undefined) {
    // Somebody else wrote it: a holder before us, who will be told so; the watch brings us its revision.
    if ((shared.record?.token ?? 0) > token) return 'lost';
    o.clock.after(RETRY_MS, () => work.add(service));
    return 'done';
  }
  shared.wrote(service, revision, { token, hash: written.hash, shard });
  await removeParts(o, old, written.hash);
  return 'done';
}

const RETRY_MS = 200;

async function writeParts(o: PublishOptions, service: string, written: Written): Promise<boolean> {
  for (const [index, part] of written.parts.entries()) {
    const key = partKey(o.catalogue.source, service, written.hash, index);
    const revision = await o.bucket.write(key, part, o.shared.partRevision(key));
    if (revision === undefined) return false;
    o.shared.take({ key, revision, value: part });
  }
  return true;
}

async function removeParts(o: PublishOptions, keys: readonly string[], but: string): Promise<void> {
  for (const key of keys) {
    if (key.includes(`.${but}.`)) continue;
    await o.bucket.remove(key, o.shared.partRevision(key));
  }
}
