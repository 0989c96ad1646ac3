// What became of the requests that were sent to one locality of a cluster, until somebody is told. Written by
// every try, so it is fields and typed arrays; it outlives the hosts it counts for.
import { LATENCY_BUCKETS, latencyBucket } from '../../model/latency.ts';

export class LoadTally {
  /** Tries that were begun, or that something of their own stopped before they reached the host. */
  issued = 0;
  successes = 0;
  errors = 0;
  /** Tries under way. */
  active = 0;
  /** Hosts that count here. */
  hosts = 0;
  /** Tries that were timed. */
  timed = 0;
  #times: Uint32Array | undefined;

  /** @param ms from the first byte sent to the head of the answer. */
  took(ms: number): void {
    const times = (this.#times ??= new Uint32Array(LATENCY_BUCKETS));
    const bucket = latencyBucket(ms * 1000);
    times[bucket] = (times[bucket] ?? 0) + 1;
    this.timed += 1;
  }

  /** Nothing to tell. */
  get isQuiet(): boolean {
    return this.issued <= 0 && this.successes === 0 && this.errors <= 0 && this.active === 0;
  }

  /**
   * What was counted, which is zero from then on. A try that was told of and then taken back (see Attempt) leaves less
   * than zero: nothing is told then, and the rest counts against the next tries.
   */
  take(): TakenTally {
    const { successes, active } = this;
    const issued = Math.max(0, this.issued);
    const errors = Math.max(0, this.errors);
    const times: [bucket: number, count: number][] = [];
    if (this.timed > 0) this.#times?.forEach((count, bucket) => count > 0 && times.push([bucket, count]));
    this.#times?.fill(0);
    this.issued -= issued;
    this.successes = 0;
    this.errors -= errors;
    this.timed = 0;
    return { issued, successes, errors, active, times };
  }

  /** What was taken and could not be told. */
  giveBack({ issued, successes, errors, times }: TakenTally): void {
    this.issued += issued;
    this.successes += successes;
    this.errors += errors;
    for (const [bucket, count] of times) {
      this.#times ??= new Uint32Array(LATENCY_BUCKETS);
      this.#times[bucket] = (this.#times[bucket] ?? 0) + count;
      this.timed += count;
    }
  }
}

export interface TakenTally {
  readonly issued: number;
  readonly successes: number;
  readonly errors: number;
  readonly active: number;
  /** By bucket of model/latency.ts. */
  readonly times: readonly (readonly [bucket: number, count: number])[];
}
