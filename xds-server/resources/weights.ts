// Weights as the wire wants them: whole numbers from 1 up whose sum fits into 32 bits (Envoy and gRPC refuse
// others). Factors such as warm-up make fractions: all weights of a cluster are scaled alike then, so far that
// rounding moves no ratio by more than 1 %.

const MAX_WEIGHT = 4_294_967_295;
/** Of a smallest weight of 100, rounding takes or gives half a percent at most. */
const FINE_ENOUGH = 100;

interface Weighted {
  /** ≥ 0. 0 is sent as 1: what has it is draining. */
  readonly weight: number;
}

/** The weight to send for each of `all`; of one priority or of all, the ratios are the same. */
export function wholeWeights(all: readonly Weighted[]): (one: Weighted) => number {
  // NaN is no more than 0.
  const capped = (weight: number): number => (weight > 0 ? Math.min(weight, MAX_WEIGHT) : 0);
  const sum = all.reduce((total, { weight }) => total + Math.max(1, capped(weight)), 0);
  const wanted = scaleFor(all.map(({ weight }) => capped(weight)).filter((weight) => weight > 0));
  const scale = sum * wanted <= MAX_WEIGHT ? wanted : (MAX_WEIGHT - all.length) / sum;
  // Down where there is no room, else to the nearest.
  const whole = scale === wanted ? Math.round : Math.trunc;
  return ({ weight }) => Math.max(1, whole(capped(weight) * scale));
}

/** A power of ten: the same for many sets of weights, so that one endpoint's change seldom moves the others. */
function scaleFor(weights: readonly number[]): number {
  if (weights.every((weight) => Number.isInteger(weight))) return 1;
  const least = weights.reduce((min, weight) => Math.min(min, weight), Infinity);
  let scale = 1;
  while (least * scale < FINE_ENOUGH && scale < MAX_WEIGHT) scale *= 10;
  return scale;
}
