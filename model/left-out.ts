// What a source offers and its config keeps out. Plain data: the stage that leaves it out writes it, the admin
// API shows it. Nothing is decided by it.

export interface LeftOut {
  readonly source: string;
  /** The service's name here; the source's own when it is left out as a whole. */
  readonly service: string;
  /** The field of the source's config, such as `exclude.services` or `include.labels.env`; `writeTo`: it is our own. */
  readonly by: string;
  /**
   * True: the source offers it now. False: it would be left out, and whether the source has it is not known,
   * because a name that `include.services` does not match is never asked for.
   */
  readonly offered: boolean;
  readonly endpoints: number;
  /** endpointKey() of the first of them; at most 100. */
  readonly addresses: readonly string[];
}
