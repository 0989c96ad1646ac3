// One cluster's breaker by failure rate (envoy.filters.http.admission_control): counts answers over a sliding window
// of whole seconds and refuses a random part of the requests while too few of them are good, as Envoy computes it.
// No timer: what is too old is taken off when somebody asks or counts.

/** The xDS message with its defaults. */
export interface AdmissionRules {
  /** Whole seconds, ≥ 1. */
  readonly windowS: number;
  /** Part (0…1, above 0) of good answers below which requests are refused. */
  readonly threshold: number;
  /** ≥ 1; above it refusals set in more steeply. */
  readonly aggression: number;
  /** Requests a second, on average over the window, below which nothing is refused. */
  readonly minRate: number;
  /** Most of the requests (0…1) that are ever refused. */
  readonly most: number;
  readonly isGood: (status: number) => boolean;
  /** The same of an answer whose head says grpc-status. */
  readonly isGoodGrpc: (code: number) => boolean;
}

const SECOND_MS = 1_000;
/** Envoy draws with four digits. */
const STEPS = 10_000;

/** Part (0…1) of the requests to refuse after `total` answers of which `good` were good. */
export function refusedPart(
  { threshold, aggression, most }: Pick<AdmissionRules, 'threshold' | 'aggression' | 'most'>,
  total: number,
  good: number,
): number {
  const part = (total - good / threshold) / (total + 1);
  if (part <= 0) return 0;
  return Math.min(most, aggression === 1 ? part : part ** (1 / aggression));
}

export class Admission {
  readonly rules: AdmissionRules;
  readonly #now: () => number;
  readonly #random: () => number;
  /** A ring of seconds that had answers: when each began, how many there were, how many good ones. */
  readonly #began: Float64Array;
  readonly #totals: Uint32Array;
  readonly #goods: Uint32Array;
  #first = 0;
  #length = 0;
  #total = 0;
  #good = 0;
  /** Since the start. */
  rejected = 0;
  successes = 0;
  failures = 0;

  /** @param now monotonic ms. @param random 0 ≤ n < 1. */
  constructor(rules: AdmissionRules, now: () => number, random: () => number) {
    this.rules = rules;
    this.#now = now;
    this.#random = random;
    // Each begins a second or more after the one before, and none is older than the window.
    const size = rules.windowS + 1;
    this.#began = new Float64Array(size);
    this.#totals = new Uint32Array(size);
    this.#goods = new Uint32Array(size);
  }

  /** True: answer 503 instead of sending. Counted. */
  refuses(): boolean {
    const now = this.#now();
    const { rules } = this;
    if (rules.minRate > 0 && this.#averageRate(now) < rules.minRate) return false;
    this.#roll(now);
    const part = refusedPart(rules, this.#total, this.#good);
    if (part === 0 || Math.floor(this.#random() * STEPS) >= part * STEPS) return false;
    this.rejected += 1;
    return true;
  }

  /** @param grpcStatus of the head; '' without. */
  record(status: number, grpcStatus: string): void {
    const good = grpcStatus === '' ? this.rules.isGood(status) : this.rules.isGoodGrpc(Number(grpcStatus));
    const at = this.#roll(this.#now());
    this.#totals[at] = (this.#totals[at] ?? 0) + 1;
    this.#total += 1;
    if (!good) {
      this.failures += 1;
      return;
    }
    this.#goods[at] = (this.#goods[at] ?? 0) + 1;
    this.#good += 1;
    this.successes += 1;
  }

  #at(nth: number): number {
    return (this.#first + nth + this.#began.length) % this.#began.length;
  }

  /** Whole ones; before what is too old is taken off, as in Envoy. */
  #averageRate(now: number): number {
    if (this.#total === 0) return 0;
    const spanS = Math.floor((now - (this.#began[this.#first] ?? 0)) / SECOND_MS);
    return Math.floor(this.#total / Math.max(this.rules.windowS, spanS));
  }

  /** Takes off what is too old. @returns the place of the second that counts now. */
  #roll(now: number): number {
    const windowMs = this.rules.windowS * SECOND_MS;
    while (this.#length > 0 && now - (this.#began[this.#first] ?? 0) >= windowMs) {
      this.#total -= this.#totals[this.#first] ?? 0;
      this.#good -= this.#goods[this.#first] ?? 0;
      this.#first = this.#at(1);
      this.#length -= 1;
    }
    const last = this.#at(this.#length - 1);
    if (this.#length > 0 && now - (this.#began[last] ?? 0) < SECOND_MS) return last;
    const at = this.#at(this.#length);
    this.#length += 1;
    this.#began[at] = now;
    this.#totals[at] = 0;
    this.#goods[at] = 0;
    return at;
  }
}
