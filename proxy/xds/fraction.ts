// Percentages of the xDS API → a part from 0 to 1. Runtime keys name values of a runtime that does not exist
// here, so the default value counts, as it does in an Envoy whose runtime does not have the key.
import type { FractionalPercent__Output } from '../../proto/gen/types/envoy/type/v3/FractionalPercent.ts';
import type { RuntimeFractionalPercent__Output } from '../../proto/gen/types/envoy/config/core/v3/RuntimeFractionalPercent.ts';

const DENOMINATOR: Readonly<Record<string, number>> = {
  HUNDRED: 100,
  TEN_THOUSAND: 10_000,
  MILLION: 1_000_000,
};

export function partOf(fraction: FractionalPercent__Output | undefined, absent: number): number {
  if (!fraction) return absent;
  return Math.min(1, (fraction.numerator ?? 0) / wholeOf(fraction));
}

/** Of how many the numerator is. */
export const wholeOf = ({ denominator = 'HUNDRED' }: FractionalPercent__Output): number =>
  DENOMINATOR[denominator] ?? 100;

export const runtimePartOf = (value: RuntimeFractionalPercent__Output | undefined, absent: number): number =>
  value ? partOf(value.default_value, 0) : absent;
