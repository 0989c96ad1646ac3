// Weighted clusters: which of a route's variants a request takes.
import type { Route } from '../route.ts';

/** @param random 0 ≤ n < 1. */
export function chooseRoute(
  { routes, ends, total }: NonNullable<Route['split']>,
  route: Route,
  random = Math.random(),
): Route {
  const at = random * total;
  for (let i = 0; i < ends.length; i += 1) if (at < (ends[i] ?? 0)) return routes[i] ?? route;
  return routes[routes.length - 1] ?? route;
}
