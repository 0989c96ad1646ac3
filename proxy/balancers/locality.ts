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

export class LocalityBalancer<H extends PickHost> implements Balancer<H> {
  readonly #inner: readonly Balancer<H>[];
  readonly #schedule: EdfSchedule;

  /** @param weights of the inner ones, same order, all greater than 0. */
  constructor(inner: readonly Balancer<H>[], weights: readonly number[], env: BalancerEnv) {
    this.#inner = inner;
    this.#schedule = new EdfSchedule(
      inner.length,
      (i) => weights[i] ?? 1,
      () => env.random(),
    );
  }

  next(key: PickKey, attempt: number): H {
    const balancer = this.#inner[this.#schedule.next()] as Balancer<H>;
    return balancer.next(key, attempt);
  }
}
