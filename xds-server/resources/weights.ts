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

/** NaN is no more than 0. */
const capped = (weight: number): number => (weight > 0 ? Math.min(weight, MAX_WEIGHT) : 0);

/** The weight to send for each of `all`; of one priority or of all, the ratios are the same. */
export function wholeWeights(all: readonly Weighted[]): (one: Weighted) => number {
  let sum = 0;
  let isWhole = true;
  for (const { weight } of all) {
    const one = capped(weight);
    sum += Math.max(1, one);
    isWhole &&= Number.isInteger(one);
  }
  const wanted = isWhole ? 1 : scaleFor(all);
  const scale = sum * wanted <= MAX_WEIGHT ? wanted : (MAX_WEIGHT - all.length) / sum;
  // Down where there is no room, else to the nearest.
  const whole = scale === wanted ? Math.round : Math.trunc;
  return ({ weight }) => Math.max(1, whole(capped(weight) * scale));
}

/** A power of ten: the same for many sets of weights, so that one endpoint's change seldom moves the others. */
function scaleFor(all: readonly Weighted[]): number {
  const least = all.reduce((min, { weight }) => (weight > 0 ? Math.min(min, weight) : min), Infinity);
  let scale = 1;
  while (least * scale < FINE_ENOUGH && scale < MAX_WEIGHT) scale *= 10;
  return scale;
}
