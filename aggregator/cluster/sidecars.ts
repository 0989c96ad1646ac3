// Which sidecars are connected to which replica, shared by all of them: each writes its own, and a beat beside them.
// Those of a replica that is not heard any more have broken off, whether it died, froze, or NATS is gone: their
// addresses are asked, so that nobody leaves who answers. Judged by local monotonic time alone.
import { aborted, childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Health } from '../../model/endpoint.ts';
import type { AdmittedSidecar, Departure } from '../../model/sidecars.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { besideTheWatch } from './beside-watch.ts';
import { escapeKey, unescapeKey } from './bus.ts';
import type { Bucket, BusEntry } from './bus.ts';

export interface SidecarBeat {
  readonly beatMs: number;
  /** A replica without a beat for so long is not there. */
  readonly silentMs: number;
  /** What it left behind is removed after so long. */
  readonly forgetMs: number;
}

/** In one round: others do the same. */
const ERASED_AT_ONCE = 100;

const BEAT: SidecarBeat = { beatMs: 1_000, silentMs: 5_000, forgetMs: 60_000 };

export interface ShareSidecarsOptions {
  /** This replica, unlike any other process ever. */
  readonly replica: string;
  /** @throws while the broker is not there. */
  bucket(): Promise<Bucket>;
  /** Told of those that are connected to another replica; the returned function is called when they are not. */
  open(session: AdmittedSidecar): (how: Departure) => void;
  /** Told how the app beside one of those is. */
  found(via: string, node: string, health: Health): void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly beat?: SidecarBeat;
}

/** What is written of a sidecar; `isLost`: its connection broke. */
interface SidecarRecord {
  readonly session: Omit<AdmittedSidecar, 'via'>;
  readonly isLost: boolean;
  /** Of its app; absent: unknown. */
  readonly health?: Health;
}

interface Own {
  readonly text: string;
  /** Monotonic ms of the loss. */
  readonly lostAt?: number;
}

interface Seen {
  readonly revision: number;
  readonly text: string | undefined;
}

/** Listens to the replica's own sidecars, and tells of the others'. */
export class SharedSidecars {
  readonly #o: ShareSidecarsOptions;
  readonly #beat: SidecarBeat;
  /** Of this replica, by the last part of their keys. */
  readonly #own = new Map<string, Own>();
  /** Of those that are open: their keys in #own. */
  readonly #ids = new Map<AdmittedSidecar, string>();
  #count = 0;
  /** Removals, by revision: monotonic ms at which each was heard. They take place in the bucket for ever. */
  readonly #removals = new Map<number, number>();
  /** All keys but beats, as the bucket told them last. */
  readonly #seen = new Map<string, Seen>();
  /** By replica: revision of its beat, and monotonic ms at which it was heard. */
  readonly #beats = new Map<
    string,
    { readonly revision: number; readonly at: number; readonly isOver: boolean }
  >();
  /** Those of others that are open, by key. */
  readonly #open = new Map<string, (how: Departure) => void>();
  #wake: () => void = () => undefined;

  constructor(options: ShareSidecarsOptions) {
    this.#o = options;
    this.#beat = options.beat ?? BEAT;
  }

  joined(session: AdmittedSidecar): void {
    if (session.via !== '') return;
    this.#count += 1;
    const id = String(this.#count);
    this.#ids.set(session, id);
    this.#own.set(id, { text: textOf(session, false) });
    this.#wake();
  }

  found(session: AdmittedSidecar, health: Health): void {
    const id = this.#ids.get(session);
    if (id === undefined) return;
    this.#own.set(id, { text: textOf(session, false, health) });
    this.#wake();
  }

  left(session: AdmittedSidecar, how: Departure): void {
    const id = this.#ids.get(session);
    if (id === undefined) return;
    this.#ids.delete(session);
    if (how === 'ended') this.#own.delete(id);
    else this.#own.set(id, { text: textOf(session, true), lostAt: this.#o.clock.monotonic() });
    this.#wake();
  }

  /** Until `signal` aborts. Never throws for the broker's faults. */
  async run(signal: AbortSignal): Promise<void> {
    const watching = this.#looks(signal);
    while (!signal.aborted) {
      try {
        await this.#shareOnce(signal);
      } catch (thrown) {
        if (!signal.aborted)
          this.#o.log.debug({ cause: describeError(thrown) }, 'sharing sidecars was interrupted');
      }
      await sleep(this.#beat.beatMs, signal, this.#o.clock).catch(() => undefined);
    }
    await watching;
  }

  async #shareOnce(signal: AbortSignal): Promise<void> {
    const { clock } = this.#o;
    const bucket = await this.#o.bucket();
    this.#removals.clear();
    const before = new Set(this.#seen.keys());
    const revisions = new Map(this.#beats);
    await besideTheWatch(bucket, '>', signal, {
      clock,
      silentMs: this.#beat.silentMs * 2,
      onEntry: (entry) => {
        before.delete(entry.key);
        revisions.delete(replicaOf(entry.key));
        this.#heard(entry);
      },
      onCurrent: async (over) => {
        // A bucket that was lost knows nothing of what was in it.
        for (const key of before) this.#forget(key);
        for (const [replica, beat] of revisions) this.#beats.set(replica, { ...beat, revision: 0 });
        await this.#write(bucket, over);
        // On purpose: the others need not wait until it is silent.
        const own = this.#beats.get(this.#o.replica);
        if (signal.aborted && own)
          await bucket.remove(escapeKey(this.#o.replica), own.revision).catch(() => false);
      },
    });
  }

  #heard({ key, revision, value }: BusEntry): void {
    if (value === undefined) this.#removals.set(revision, this.#o.clock.monotonic());
    if (key.includes('.')) {
      if (revision <= (this.#seen.get(key)?.revision ?? 0)) return;
      this.#put(key, { revision, text: value && Buffer.from(value).toString() });
      return;
    }
    const replica = replicaOf(key);
    const isNews = replica !== this.#o.replica && this.#isThere(replica) === (value === undefined);
    this.#beats.set(replica, { revision, at: this.#o.clock.monotonic(), isOver: value === undefined });
    if (isNews) this.#settleAll(replica);
  }

  #put(key: string, seen: Seen): void {
    this.#seen.set(key, seen);
    const replica = replicaOf(key);
    if (replica === this.#o.replica) {
      // Its last entry: numbers are never given again.
      if (seen.text === undefined && !this.#own.has(key.slice(key.indexOf('.') + 1))) this.#seen.delete(key);
      return this.#wake();
    }
    this.#settle(key, replica, true);
    if (seen.text === undefined) this.#seen.delete(key);
  }

  #forget(key: string): void {
    this.#seen.delete(key);
    this.#open.get(key)?.('broken');
    this.#open.delete(key);
  }

  #isThere(replica: string): boolean {
    const beat = this.#beats.get(replica);
    return !!beat && !beat.isOver && this.#o.clock.monotonic() - beat.at < this.#beat.silentMs;
  }

  #settleAll(replica: string): void {
    for (const key of this.#seen.keys()) if (replicaOf(key) === replica) this.#settle(key, replica);
  }

  #settle(key: string, replica: string, isNew = false): void {
    const text = this.#seen.get(key)?.text;
    const record = text === undefined ? undefined : recordOf(text);
    const isThere = this.#isThere(replica);
    const leave = this.#open.get(key);
    if (record && !record.isLost && isThere) {
      if (!leave) this.#open.set(key, this.#o.open({ ...record.session, via: replica }));
      this.#o.found(replica, record.session.node, record.health ?? 'unknown');
      return;
    }
    this.#open.delete(key);
    if (leave) leave(text === undefined && isThere ? 'ended' : 'broken');
    // Its address may still answer: who comes late has to know of it, too.
    else if (record?.isLost && isNew) this.#o.open({ ...record.session, via: replica })('broken');
  }

  /** Who has fallen silent? Goes on while there is no broker. */
  async #looks(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#beat.beatMs, signal, this.#o.clock).catch(() => undefined);
      for (const replica of this.#beats.keys()) {
        if (replica === this.#o.replica || this.#isThere(replica)) continue;
        for (const key of this.#open.keys()) if (replicaOf(key) === replica) this.#settle(key, replica);
      }
    }
  }

  async #write(bucket: Bucket, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#writeBeat(bucket);
      this.#forgetLost();
      const prefix = `${escapeKey(this.#o.replica)}.`;
      for (const [id, { text }] of this.#own) {
        const key = prefix + id;
        const seen = this.#seen.get(key);
        if (seen?.text === text && seen.revision > 0) continue;
        await this.#beatIfDue(bucket);
        const revision = await bucket.write(key, Buffer.from(text), seen?.revision ?? 0);
        if (revision !== undefined) this.#seen.set(key, { revision, text });
      }
      for (const [key, { revision, text }] of this.#seen) {
        if (
          text === undefined ||
          revision === 0 ||
          !key.startsWith(prefix) ||
          this.#own.has(key.slice(prefix.length))
        )
          continue;
        await this.#beatIfDue(bucket);
        if (await bucket.remove(key, revision)) this.#seen.set(key, { revision, text: undefined });
      }
      await this.#removeLeftovers(bucket);
      await this.#eraseRemovals(bucket);
      await this.#pause(signal);
    }
  }

  async #writeBeat(bucket: Bucket): Promise<void> {
    const { replica, clock } = this.#o;
    const revision = await bucket.write(
      escapeKey(replica),
      Buffer.from('-'),
      this.#beats.get(replica)?.revision ?? 0,
    );
    if (revision !== undefined) {
      this.#beats.set(replica, { revision, at: clock.monotonic(), isOver: false });
    }
  }

  /** Writing very many takes longer than the others wait for a beat. */
  async #beatIfDue(bucket: Bucket): Promise<void> {
    const { clock, replica } = this.#o;
    const at = this.#beats.get(replica)?.at ?? -Infinity;
    if (clock.monotonic() - at >= this.#beat.beatMs) await this.#writeBeat(bucket);
  }

  #forgetLost(): void {
    const since = this.#o.clock.monotonic() - this.#beat.forgetMs;
    for (const [id, { lostAt = Infinity }] of this.#own) if (lostAt < since) this.#own.delete(id);
  }

  /** Of replicas that are gone for good: each has a name that nobody ever has again. */
  async #removeLeftovers(bucket: Bucket): Promise<void> {
    const since = this.#o.clock.monotonic() - this.#beat.forgetMs;
    for (const [replica, { at, revision, isOver }] of this.#beats) {
      if (at > since || replica === this.#o.replica) continue;
      for (const [key, seen] of this.#seen) {
        if (replicaOf(key) !== replica) continue;
        this.#seen.delete(key);
        await this.#beatIfDue(bucket);
        await bucket.remove(key, seen.revision);
      }
      if (!isOver) await bucket.remove(escapeKey(replica), revision);
      this.#beats.delete(replica);
    }
  }

  /** What was removed long ago is known to all: whoever comes later reads the whole. No key is ever written again. */
  async #eraseRemovals(bucket: Bucket): Promise<void> {
    const since = this.#o.clock.monotonic() - this.#beat.forgetMs;
    for (const [revision, at] of [...this.#removals].slice(0, ERASED_AT_ONCE)) {
      if (at > since) break;
      await this.#beatIfDue(bucket);
      await bucket.erase(revision);
      this.#removals.delete(revision);
    }
  }

  /** Until something is to be written, or it is time for a beat. */
  async #pause(signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal);
    this.#wake = () => controller.abort(new Error('there is work'));
    const beat = sleep(this.#beat.beatMs, controller.signal, this.#o.clock).catch(() => undefined);
    await Promise.race([beat, aborted(signal)]);
    this.#wake = () => undefined;
    release();
  }
}

const replicaOf = (key: string): string => unescapeKey(key.split('.')[0] ?? '');

function textOf(
  { node, peer, address, registration }: AdmittedSidecar,
  isLost: boolean,
  health?: Health,
): string {
  const session = { node, peer, address, registration };
  return JSON.stringify({ session, isLost, ...(health && { health }) } satisfies SidecarRecord);
}

/** undefined: not to be understood. */
function recordOf(text: string): SidecarRecord | undefined {
  try {
    const record = JSON.parse(text) as Partial<SidecarRecord> | null;
    const { node, address, registration } = record?.session ?? {};
    const isGood = [node, address, registration?.service].every((field) => typeof field === 'string');
    return isGood && typeof registration?.port === 'number' ? (record as SidecarRecord) : undefined;
  } catch {
    return undefined;
  }
}
