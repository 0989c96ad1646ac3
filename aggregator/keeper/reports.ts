// What a keeper did beyond passing its source's word on, and why: for the log, the metrics and the journal.

export type KeeperReport =
  /** Much left at once. `shadow`: it was let go all the same. `service` undefined: of the whole source. */
  | {
      readonly type: 'guarded';
      readonly service: string | undefined;
      readonly missing: number;
      readonly of: number;
      readonly shadow: boolean;
    }
  /** The source said the same for long enough: what was doubted has left. */
  | { readonly type: 'confirmed'; readonly service: string; readonly keys: readonly string[] }
  /** What was doubted is listed again. */
  | { readonly type: 'relisted'; readonly service: string; readonly keys: readonly string[] }
  /** Its source has been dark for longer than it is trusted. */
  | { readonly type: 'held-over'; readonly service: string; readonly keys: readonly string[] }
  /** Left because pings refuted it, before its time. */
  | { readonly type: 'refuted'; readonly service: string; readonly keys: readonly string[] }
  /** It had left, its source is dark still, and it answers pings again. */
  | { readonly type: 'returned'; readonly service: string; readonly keys: readonly string[] }
  /** It was quarantined, and answers in its own service's name again. */
  | { readonly type: 'released'; readonly service: string; readonly keys: readonly string[] }
  /** Left at the end of its hold. */
  | { readonly type: 'left'; readonly service: string; readonly keys: readonly string[] }
  /** The hold is over, and these stay because the service has no other. An alarm. */
  | { readonly type: 'expired'; readonly service: string; readonly keys: readonly string[] }
  | {
      readonly type: 'quarantined';
      readonly service: string;
      readonly key: string;
      readonly answeredAs: string;
    }
  /** `factor`: of the weight, 0 … 1. `shadow`: it keeps its weight all the same. */
  | {
      readonly type: 'damped';
      readonly service: string;
      readonly key: string;
      readonly factor: number;
      readonly shadow: boolean;
    };
