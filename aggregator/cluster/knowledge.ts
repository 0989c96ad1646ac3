// What a replica knows of a source by itself, and whether others know it, too: decides whether it may give its own
// shards up for those of a holder. Plain bookkeeping for aggregator/cluster/share.ts.
import type { SourceRecord } from './records.ts';

export class Knowledge {
  /** Its own watch has listed the source at some time. */
  wasListed = false;
  /** All it knew once was in the bucket: adopted from there, or published. */
  #wasShared = false;
  #heard = 0;
  #sharedUpTo = 0;

  /** Its own watch has told something of a source that answers. */
  hear(): void {
    this.wasListed = true;
    this.#heard += 1;
  }

  /** What has been heard so far: for shared(), once that is written. */
  get heard(): number {
    return this.#heard;
  }

  /** All that was heard until then is in the bucket, or was given up for what is. */
  shared(upTo = this.#heard): void {
    this.#sharedUpTo = upTo;
    this.#wasShared = true;
  }

  /**
   * Whether what a holder has is to be taken in place of what is known here. While the source answers the holder,
   * always. While it does not, what this replica heard by itself and nobody else knows may be newer, and stays
   * until the holder has a list; what was shared once, or is from disk, gives way to a holder that knows as much.
   * @param knowsNothing nothing is known here.
   */
  yieldsTo({ listed, wasListed, lastSuccess }: SourceRecord, knowsNothing: boolean): boolean {
    if (listed || knowsNothing) return true;
    if (this.#heard > this.#sharedUpTo) return false;
    return wasListed === true || (this.#wasShared && lastSuccess !== undefined);
  }
}
