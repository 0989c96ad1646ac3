// The body of one request on its way: what was not sent yet, and all of it as long as it may have to be sent
// again. Bounded: a body that grows over the limit is sent once and no longer kept.

/** What a body may have without a retry policy, to be sent again when an idle connection had just closed. */
export const SMALL_BODY = 64 * 1024;

export class RequestBody {
  #parts: Buffer[] = [];
  #limit = SMALL_BODY;
  #sent = false;
  size = 0;
  /** The client has sent all of it. */
  done = true;
  /** Everything from the first byte on is here. */
  kept = true;

  begin(first: Buffer | undefined, done: boolean): void {
    this.clear();
    this.#limit = SMALL_BODY;
    this.#sent = false;
    this.done = done;
    this.kept = true;
    if (first) this.#push(first);
  }

  /** @returns false when there is already more than that. */
  limitTo(bytes: number): boolean {
    this.#limit = bytes;
    if (this.size > bytes) this.forget();
    return this.kept;
  }

  /** @returns false when this was too much to go on keeping it. */
  add(bytes: Buffer | undefined, done: boolean): boolean {
    this.done = done;
    if (!bytes) return true;
    const before = this.kept;
    if (this.kept && this.size + bytes.length > this.#limit) this.forget();
    if (this.kept || !this.#sent) this.#push(bytes);
    return this.kept || !before;
  }

  /** All of it that an attempt may have had is here. */
  get whole(): boolean {
    return this.kept && (this.done || !this.#sent);
  }

  /** So much waits to be sent that the client should wait, too. */
  get full(): boolean {
    return !this.#sent && this.size >= this.#limit;
  }

  /** All that there is, as one. */
  all(): Buffer | undefined {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0];
  }

  /** The same, for one attempt: from now on bytes are passed on as they come. */
  take(): Buffer | undefined {
    const all = this.all();
    this.#sent = true;
    if (!this.kept) this.#parts = [];
    return all;
  }

  /** The attempt is over; the next one starts from the first byte. Only while `kept`. */
  rewind(): void {
    this.#sent = false;
  }

  /** It will not be sent again. */
  forget(): void {
    this.kept = false;
    if (this.#sent && this.#parts.length > 0) this.#parts = [];
  }

  /** The request is over. */
  clear(): void {
    if (this.#parts.length > 0) this.#parts = [];
    this.size = 0;
  }

  #push(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.size += bytes.length;
  }
}
