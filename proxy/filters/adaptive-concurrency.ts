// envoy.filters.http.adaptive_concurrency: at most as many requests in flight as the gradient controller finds good,
// the others are answered at once.
import type { Gradient } from './gradient.ts';
import type { Filter } from './types.ts';

const TEXT = 'reached concurrency limit';

/** @param name of the filter in its chain, under which routes may switch it off. */
export function adaptiveConcurrency(name: string, gradient: Gradient, status: number): Filter {
  return (next) => (stream, head) => {
    if (stream.route.filters?.get(name)?.kind === 'off') return next(stream, head);
    const sinceMs = gradient.enter();
    if (sinceMs < 0) return stream.reply(status, TEXT, 0, '');
    stream.kept.counts(gradient, sinceMs);
    next(stream, head);
  };
}
