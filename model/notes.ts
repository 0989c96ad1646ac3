// What the keeper of a source knows of one endpoint beside its marks: until when what was decided holds. For
// explanations only: nothing that callers get depends on it. Times are milliseconds since the epoch.

export interface EndpointNotes {
  /** Its source is dark: until then the endpoint is trusted. */
  readonly trustedUntil?: number;
  /** It is doubted: then it leaves, if the source says nothing else and the service can do without it. */
  readonly leavesAt?: number;
  /** The source stopped to list it then, and was believed. Remembered for the guard's window only. */
  readonly goneAt?: number;
  /** It left then, at the end of its hold or refuted by pings, though its dark source's last word lists it. */
  readonly leftAt?: number;
  /** What pings said of it. */
  readonly ping?: {
    /** Of the last answer; undefined: there was none. */
    readonly aliveAt: number | undefined;
    /** That answer was in the service's own name. */
    readonly named: boolean;
    /** Failures since then. */
    readonly failed: number;
    /** So many of one pinger's refute it, while its source is dark. */
    readonly fall: number;
  };
  readonly flaps?: {
    /** Flaps that are not forgotten yet. */
    readonly penalty: number;
    /** From there on it is damped … */
    readonly suppress: number;
    /** … until this time, if it flaps no more; undefined: it is not damped. */
    readonly until: number | undefined;
  };
  readonly warmUp?: { readonly since: number; readonly until: number };
}
