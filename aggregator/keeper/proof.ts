// What pings say of one endpoint (rule 10). A ping proves life or another owner at once; failures refute only
// when the prober and a sidecar agree, or when the prober's own network is beyond doubt. Pure.

/** `answeredAs`: it is alive and belongs to another service. */
export type Verdict =
  | { readonly kind: 'alive' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'answeredAs'; readonly service: string };

export interface Pinger {
  readonly kind: 'prober' | 'sidecar';
  /** The share of all its pings that fail at the moment, 0 … 1. Of the prober; a sidecar's is not asked. */
  readonly failing: number;
}

/** What is remembered of pings since the last proof of life. */
export interface Proof {
  /** Milliseconds since the epoch of the last proof of life; undefined: never. */
  readonly aliveAt: number | undefined;
  /** Failures in a row. */
  readonly byProber: number;
  readonly bySidecars: number;
  readonly refuted: boolean;
  readonly quarantined: { readonly since: number; readonly answeredAs: string } | undefined;
}

const NOTHING: Proof = {
  aliveAt: undefined,
  byProber: 0,
  bySidecars: 0,
  refuted: false,
  quarantined: undefined,
};

/** A prober that fails more often than this cannot be trusted alone: the fault may be its own. */
const TRUSTED_BELOW = 0.2;

export function proven(
  before: Proof | undefined,
  verdict: Verdict,
  by: Pinger,
  now: number,
  fall: number,
): Proof {
  const was = before ?? NOTHING;
  if (verdict.kind === 'alive') return { ...NOTHING, aliveAt: now };
  if (verdict.kind === 'answeredAs') {
    const same = was.quarantined?.answeredAs === verdict.service ? was.quarantined : undefined;
    return { ...was, quarantined: same ?? { since: now, answeredAs: verdict.service } };
  }
  const byProber = was.byProber + Number(by.kind === 'prober');
  const bySidecars = was.bySidecars + Number(by.kind === 'sidecar');
  const alone = by.kind === 'prober' && by.failing < TRUSTED_BELOW;
  const refuted = was.refuted || (byProber >= fall && (bySidecars >= fall || alone));
  return { ...was, byProber, bySidecars, refuted };
}
