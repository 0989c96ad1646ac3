// What is thought of one host after its checks, by Envoy's rules: it counts as failing until its first check, which
// alone decides; from then on so many in a row change it, and an answer that is plainly bad does so at once. Pure.
import type { Finding, HealthRules } from './rules.ts';

/** `pending`: it would have changed, had there been enough of the kind. */
export type Transition = 'none' | 'changed' | 'pending';

export class HealthRecord {
  failed = true;
  degraded = false;
  /** It asked to be left out, even of those that count as failing. */
  excluded = false;
  timedOut = false;
  /** No check has ended yet. */
  first = true;
  #good = 0;
  #bad = 0;

  /** @returns how `failed` was touched; the other marks may have changed too. */
  take(finding: Finding, rules: Pick<HealthRules, 'rise' | 'fall'>): Transition {
    if (finding.ok || finding.name !== '') this.excluded = finding.excluded;
    const transition = finding.ok ? this.#succeed(finding, rules.rise) : this.#fail(finding, rules.fall);
    this.first = false;
    return transition;
  }

  /** The host itself said, with an answer to a request, that it is not well. */
  failNow(): boolean {
    const isNews = !this.failed || !this.excluded;
    this.failed = true;
    this.excluded = true;
    this.#good = 0;
    return isNews;
  }

  #succeed({ degraded }: Finding, rise: number): Transition {
    this.#bad = 0;
    this.degraded = degraded;
    if (!this.failed) return 'none';
    this.#good += 1;
    if (!this.first && this.#good < rise) return 'pending';
    this.failed = false;
    this.timedOut = false;
    this.#good = 0;
    return 'changed';
  }

  #fail({ mayBeChance, timedOut }: Finding, fall: number): Transition {
    this.#good = 0;
    if (this.failed) {
      this.timedOut = timedOut;
      return 'none';
    }
    this.#bad += 1;
    if (mayBeChance && this.#bad < fall) return 'pending';
    this.failed = true;
    this.timedOut = timedOut;
    this.#bad = 0;
    return 'changed';
  }
}

/** Milliseconds until the next check. @param random 0 ≤ n < 1. */
export function waitMs(
  rules: HealthRules,
  after: { readonly ok: boolean; readonly transition: Transition; readonly hasTraffic: boolean },
  random: () => number,
): number {
  const base = baseMs(rules, after);
  const jitter = random() * rules.jitterMs + (random() * base * rules.jitterPercent) / 100;
  return Math.max(1, base + jitter);
}

function baseMs(rules: HealthRules, { ok, transition, hasTraffic }: Parameters<typeof waitMs>[1]): number {
  if (!hasTraffic) return ok ? rules.noTrafficHealthyMs : rules.noTrafficMs;
  if (ok) return transition === 'pending' ? rules.healthyEdgeMs : rules.intervalMs;
  return transition === 'pending' ? rules.unhealthyEdgeMs : rules.unhealthyMs;
}
