// What pings say of one endpoint (rule 10). A ping proves life or another owner at once; failures refute only
// when the prober and a sidecar agree, or when the prober's own network is beyond doubt. Pure.
import type { Pinger, Verdict } from '../../model/ping.ts';

/** What is remembered of pings since the last proof of life. */
export interface Proof {
  /** Milliseconds since the epoch of the last proof of life; undefined: never. */
  readonly aliveAt: number | undefined;
  /** That one came in the service's own name. */
  readonly named: boolean;
  /** Of the first one in a row of proofs that were asked for because of a conflict; undefined: none. */
  readonly provenSince: number | undefined;
  /** Failures in a row. */
  readonly byProber: number;
  readonly bySidecars: number;
  /** Of the prober's, those that count without a sidecar: its other pings succeeded. */
  readonly alone: number;
  readonly refuted: boolean;
  readonly quarantined: { readonly since: number; readonly answeredAs: string } | undefined;
}

export const NO_PROOF: Proof = {
  aliveAt: undefined,
  named: false,
  provenSince: undefined,
  byProber: 0,
  bySidecars: 0,
  alone: 0,
  refuted: false,
  quarantined: undefined,
};

/** What is known of the endpoint beside its proof. */
export interface Standing {
  readonly now: number;
  /** Failures that refute it. */
  readonly fall: number;
  /** Another service claims its address: a proof of its name is worth a mark. */
  readonly contested: boolean;
  /** `identity: strict`: who does not say its name proves nothing. */
  readonly strict: boolean;
}

/** A prober that fails more often than this cannot be trusted alone: the fault may be its own. */
const TRUSTED_BELOW = 0.2;

export function proven(before: Proof | undefined, verdict: Verdict, by: Pinger, at: Standing): Proof {
  const was = before ?? NO_PROOF;
  switch (verdict.kind) {
    case 'alive': {
      // It may have been seen before somebody else came: that releases nobody.
      if (was.quarantined && at.now - (by.ageMs ?? 0) < was.quarantined.since) return was;
      const provenSince = at.contested ? (was.provenSince ?? at.now) : undefined;
      return { ...NO_PROOF, aliveAt: at.now, named: true, provenSince };
    }
    case 'unproven':
      return unproven(was, at);
    case 'answeredAs': {
      const same = was.quarantined?.answeredAs === verdict.service ? was.quarantined : undefined;
      const quarantined = same ?? { since: at.now, answeredAs: verdict.service };
      return { ...was, provenSince: undefined, quarantined };
    }
    case 'refused':
      return failed(was, by, at.fall);
  }
}

/** Life without a name ends failures and prolongs a hold; it releases nobody, and proves no name. */
function unproven(was: Proof, { now, strict }: Standing): Proof {
  const life = strict ? { aliveAt: was.aliveAt, named: was.named } : { aliveAt: now, named: false };
  return { ...NO_PROOF, ...life, quarantined: was.quarantined };
}

function failed(was: Proof, by: Pinger, fall: number): Proof {
  const isProber = by.kind === 'prober';
  const byProber = was.byProber + Number(isProber);
  const bySidecars = was.bySidecars + Number(!isProber);
  const alone = was.alone + Number(isProber && by.failing < TRUSTED_BELOW);
  const refuted = was.refuted || alone >= fall || (byProber >= fall && bySidecars >= fall);
  return { ...was, byProber, bySidecars, alone, refuted };
}

/** A live source lists it again: pings of its hold count no more, but for who it was. undefined: nothing is left. */
export function relisted({ quarantined, provenSince, aliveAt, named }: Proof): Proof | undefined {
  if (!quarantined && provenSince === undefined) return undefined;
  return { ...NO_PROOF, aliveAt, named, quarantined, provenSince };
}
