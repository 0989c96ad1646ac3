// Who watches a source. One key per source in the bucket of leases: its holder writes it once a second, and
// whoever has seen no new revision for a while takes it over. Judged by local monotonic time alone, so that
// the replicas' clocks may differ by any amount; the broker's revision check lets only one of them win, and
// the revision at which a lease was won is its fencing token.
import { randomUUID } from 'node:crypto';
import { childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Bucket, BusEntry } from './bus.ts';
import { escapeKey } from './bus.ts';
import { watchAlive } from './watch-alive.ts';

/**
 * `holder`: this replica watches the source and publishes. `follower`: another one does. `alone`: the broker
 * is not there, so everybody watches for himself. `claim` is the holder's word for this one time that it holds the
 * lease: what it left behind of an earlier time bears another.
 */
export type Role =
  | { readonly role: 'holder'; readonly token: number; readonly claim: string }
  | { readonly role: 'follower'; readonly holder: string; readonly claim: string }
  | { readonly role: 'alone'; readonly cause: string };

export interface LeaseOptions {
  readonly source: string;
  /** This replica, unlike any other process ever. */
  readonly replica: string;
  /** @throws while the broker is not there. */
  bucket(): Promise<Bucket>;
  onRole(role: Role): void;
  readonly clock: Clock;
  /** Between two writes of a holder. Default 1,000 ms. */
  readonly beatMs?: number;
  /** A lease without a new revision for this long is free. Default 3,000 ms. */
  readonly leaseMs?: number;
  /** Default Math.random. */
  readonly random?: () => number;
}

interface Settled extends LeaseOptions {
  readonly beatMs: number;
  readonly leaseMs: number;
  readonly random: () => number;
}

/** Takes part until `signal` aborts, then gives the lease back if it holds it. Never throws for the broker's faults. */
export async function keepLease(options: LeaseOptions, signal: AbortSignal): Promise<void> {
  const o: Settled = { beatMs: 1_000, leaseMs: 3_000, random: Math.random, ...options };
  const teller = new RoleTeller((role) => o.onRole(role));
  let lostSince: number | undefined;
  while (!signal.aborted) {
    try {
      await takePart(o, await o.bucket(), teller, signal, () => {
        lostSince = undefined;
      });
    } catch (thrown) {
      // A short loss moves nothing: those who followed go on with what they know.
      lostSince ??= o.clock.monotonic();
      if (o.clock.monotonic() - lostSince >= o.leaseMs || teller.isHolder || teller.isNew) {
        teller.tell({ role: 'alone', cause: describeError(thrown) });
      }
    }
    await sleep(o.beatMs, signal, o.clock).catch(() => undefined);
  }
}

/** Tells a role when it is another one. */
class RoleTeller {
  #last = '';
  #role: Role | undefined;
  readonly #onRole: (role: Role) => void;

  constructor(onRole: (role: Role) => void) {
    this.#onRole = onRole;
  }

  get isNew(): boolean {
    return this.#role === undefined;
  }

  get isHolder(): boolean {
    return this.#role?.role === 'holder';
  }

  tell(role: Role): void {
    const text = role.role === 'alone' ? role.role : JSON.stringify(role);
    if (text === this.#last) return;
    this.#last = text;
    this.#role = role;
    this.#onRole(role);
  }
}

/** Ends by throwing when the broker does not answer, or when the watch of the lease ends. */
async function takePart(
  o: Settled,
  bucket: Bucket,
  teller: RoleTeller,
  signal: AbortSignal,
  onAnswer: () => void,
): Promise<void> {
  const { controller, release } = childController(signal);
  const seen = new SeenLease(o.clock);
  const watching = seen.follow(
    watchAlive(bucket, escapeKey(o.source), { clock: o.clock, silentMs: o.leaseMs * 3 }, controller.signal),
  );
  let competing: Promise<void> | undefined;
  try {
    await Promise.race([seen.current, watching]);
    onAnswer();
    competing = compete(o, bucket, seen, teller, controller.signal);
    await Promise.race([watching, competing]);
  } finally {
    controller.abort(new Error('no longer taking part'));
    release();
    await Promise.allSettled([watching, competing]);
  }
}

async function compete(
  o: Settled,
  bucket: Bucket,
  seen: SeenLease,
  teller: RoleTeller,
  signal: AbortSignal,
): Promise<void> {
  const key = escapeKey(o.source);
  let claim = '';
  /** Of our last write; 0 while another one holds the lease. */
  let held = 0;
  // Two replicas that saw the same silence should not both try in the same instant.
  const patienceMs = o.leaseMs + o.random() * (o.beatMs / 2);
  while (!signal.aborted) {
    if (held > 0 || seen.isFree(patienceMs)) {
      const token = held;
      if (held === 0) claim = `${o.replica}#${randomUUID()}`;
      held = (await bucket.write(key, Buffer.from(claim), held > 0 ? held : seen.revision)) ?? 0;
      if (held > 0 && token === 0) teller.tell({ role: 'holder', token: held, claim });
    }
    const { claim: theirs = '', holder } = seen;
    // A lease that was only found may be of somebody who is long gone: one that is cared for is seen in a beat.
    if (held === 0 && seen.isCaredFor && holder !== undefined && holder !== o.replica) {
      teller.tell({ role: 'follower', holder, claim: theirs });
    }
    await sleep(o.beatMs, signal, o.clock).catch(() => undefined);
  }
  // Given back, so that nobody has to wait for it to run out.
  if (held > 0) await bucket.remove(key, held).catch(() => false);
}

/** The lease as its last revision told it, and when that was seen here. */
class SeenLease {
  revision = 0;
  claim: string | undefined;
  /** Its holder has written it since it was first seen. */
  isCaredFor = false;
  #isCurrent = false;
  readonly current: Promise<void>;
  readonly #clock: Clock;
  #at: number;
  #onCurrent: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#at = clock.monotonic();
    this.current = new Promise((resolve) => {
      this.#onCurrent = resolve;
    });
  }

  async follow(entries: AsyncIterable<BusEntry | 'current'>): Promise<void> {
    for await (const entry of entries) {
      if (entry === 'current') {
        this.#isCurrent = true;
        this.#onCurrent();
      } else {
        this.revision = entry.revision;
        this.claim = entry.value === undefined ? undefined : Buffer.from(entry.value).toString();
        this.isCaredFor = this.#isCurrent;
        this.#at = this.#clock.monotonic();
      }
    }
  }

  /** The replica of the claim; undefined when nobody holds the lease. */
  get holder(): string | undefined {
    return this.claim?.replace(/#[^#]*$/, '');
  }

  isFree(patienceMs: number): boolean {
    return this.claim === undefined || this.#clock.monotonic() - this.#at > patienceMs;
  }
}
