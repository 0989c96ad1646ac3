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
  /** Of the first one in a row of proofs; undefined: its last word was another. */
  readonly provenSince: number | undefined;
  /** Failures in a row. */
  readonly byProber: number;
  readonly bySidecars: number;
  readonly refuted: boolean;
  readonly quarantined: { readonly since: number; readonly answeredAs: string } | undefined;
}

export const NO_PROOF: Proof = {
  aliveAt: undefined,
  provenSince: undefined,
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
  const was = before ?? NO_PROOF;
  if (verdict.kind === 'alive') return { ...NO_PROOF, aliveAt: now, provenSince: was.provenSince ?? now };
  if (verdict.kind === 'answeredAs') {
    const same = was.quarantined?.answeredAs === verdict.service ? was.quarantined : undefined;
    return {
      ...was,
      provenSince: undefined,
      quarantined: same ?? { since: now, answeredAs: verdict.service },
    };
  }
  const byProber = was.byProber + Number(by.kind === 'prober');
  const bySidecars = was.bySidecars + Number(by.kind === 'sidecar');
  const alone = by.kind === 'prober' && by.failing < TRUSTED_BELOW;
  const refuted = was.refuted || (byProber >= fall && (bySidecars >= fall || alone));
  return { ...was, byProber, bySidecars, refuted };
}

/** A live source lists it again: failed pings of its hold count no more. */
export function relisted(proof: Proof): Proof {
  return { ...proof, byProber: 0, bySidecars: 0, refuted: false };
}
