// Locality-weighted balancing as Envoy computes it: a locality's weight shrinks with its health as soon as
// less than 1 ÷ 1.4 of its hosts are usable, and localities take turns by these weights.
import { EdfSchedule } from './edf.ts';
import type { Balancer, BalancerEnv, PickHost, PickKey } from './types.ts';

/** weight × min(1, overprovisioning × usable ÷ all); 0 for a locality without hosts. */
export function effectiveWeight(
  weight: number,
  usable: number,
  all: number,
  overprovisioningPercent: number,
): number {
  return all === 0 ? 0 : weight * Math.min(1, (overprovisioningPercent / 100) * (usable / all));
}

/** One locality and who chooses in it. */
export interface LocalityShare<H> {
  readonly name: string;
  /** Effective, > 0. */
  readonly weight: number;
  readonly balancer: Balancer<H>;
}

export class LocalityBalancer<H extends PickHost> implements Balancer<H> {
  readonly #shares: readonly LocalityShare<H>[];
  readonly #schedule: EdfSchedule;

  /** @param before what stood in the same place: an update changes nobody's turn, or frequent ones would favour the heavy. */
  constructor(
    shares: readonly LocalityShare<H>[],
    env: BalancerEnv,
    before: LocalityBalancer<H> | undefined,
  ) {
    this.#shares = shares;
    const phases = before?.phases();
    const weights = shares.map(({ weight }) => weight);
    const names = shares.map(({ name }) => name);
    this.#schedule = new EdfSchedule(
      shares.length,
      (i) => weights[i] ?? 1,
      (i) => phases?.get(names[i] ?? '') ?? env.random(),
    );
  }

  next(key: PickKey, attempt: number): H {
    const share = this.#shares[this.#schedule.next()] as LocalityShare<H>;
    return share.balancer.next(key, attempt);
  }

  /** How long each locality still waits, as a part of its period. */
  phases(): ReadonlyMap<string, number> {
    return new Map(this.#shares.map(({ name }, i) => [name, this.#schedule.phase(i)]));
  }
}
