// What a keeper may be told about its source, with the defaults that hold when nothing is configured. All
// durations in milliseconds.

/** Rule 9: a source that suddenly lists much less is not believed at once. */
export interface GuardSettings {
  /** More than this share of what was listed has to go before anything is doubted, 0 … 1. Default 0.5. */
  readonly maxRemovalRatio: number;
  /** What left within this time counts together. Default 30,000. */
  readonly windowMs: number;
  /** For so long a live source has to say the same before it is believed. Default 30,000. */
  readonly confirmAfterMs: number;
  /** Shares of fewer endpoints mean nothing. Default 5. */
  readonly minEndpoints: number;
  /** Only report what would be doubted. Default false. */
  readonly shadow: boolean;
}

/** Penalties are counted in flaps: each adds 1, and half of it is forgotten per half-life. */
export interface DampingSettings {
  /** Default true. */
  readonly enabled: boolean;
  /** Default 300,000 (5 minutes). */
  readonly halfLifeMs: number;
  /** From this penalty on the weight is halved; 1.5 times it: a quarter; twice: a tenth; three times: 0. Default 5. */
  readonly suppress: number;
  /** Below it the full weight is back. Default 2. */
  readonly reuse: number;
  /** Only report what would be damped. Default false. */
  readonly shadow: boolean;
}

export interface KeeperSettings {
  /** What callers get of a source that does not answer: `hold` all of it, `drain` it, or `drop` it at once. */
  readonly onLost: 'hold' | 'drain' | 'drop';
  /** A dark source's endpoint is trusted for so long after its last proof of life. Default 1,800,000 (30 min). */
  readonly holdForMs: number;
  /** What then becomes of the last endpoints of a service. Default `keep-last`. */
  readonly onHoldEnd: 'keep-last' | 'remove';
  readonly guard: GuardSettings;
  readonly damping: DampingSettings;
  /** A new endpoint's weight grows for so long; 0 (the default): not at all. */
  readonly warmUpMs: number;
  /** Failed pings, by the prober and by a sidecar, that refute a held endpoint. Default 3. */
  readonly fall: number;
  /** Somebody said that the source goes from this service (`migrate retire`): whatever leaves it is meant to. */
  readonly isRetired?: (service: string) => boolean;
}

export const DEFAULT_KEEPING: KeeperSettings = {
  onLost: 'hold',
  holdForMs: 1_800_000,
  onHoldEnd: 'keep-last',
  guard: {
    maxRemovalRatio: 0.5,
    windowMs: 30_000,
    confirmAfterMs: 30_000,
    minEndpoints: 5,
    shadow: false,
  },
  damping: { enabled: true, halfLifeMs: 300_000, suppress: 5, reuse: 2, shadow: false },
  warmUpMs: 0,
  fall: 3,
};
