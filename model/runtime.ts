// Runtime layers: values that data planes look up by key while they serve, so that a feature is switched without a
// new configuration. Plain data.

/** A share of requests. */
export interface RuntimeFraction {
  readonly numerator: number;
  readonly denominator: 'HUNDRED' | 'TEN_THOUSAND' | 'MILLION';
}

export type RuntimeValue = number | string | boolean | RuntimeFraction;

/** By key. */
export type RuntimeLayer = ReadonlyMap<string, RuntimeValue>;

/** The layer of every Envoy that our bootstrap starts; that of its service, by canonical name, counts more. */
export const COMMON_LAYER = 'isthmus';
