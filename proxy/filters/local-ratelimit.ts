// envoy.filters.http.local_ratelimit: a token per request, 429 when there is none.
import { Flag } from '../flags.ts';
import type { RateLimit } from './rules.ts';
import { settingOf } from './settings.ts';
import type { Filter } from './types.ts';

const TEXT = 'local_rate_limited';

/** @param name of the filter in its chain, under which routes have settings of their own. */
export function localRateLimit(name: string, own: RateLimit | undefined): Filter {
  return (next) => (stream, head) => {
    const limit = settingOf(stream.route, name, 'rate-limit', own);
    if (!limit || admits(limit)) return next(stream, head);
    stream.reply(limit.status, TEXT, Flag.RL, limit.fields);
  };
}

function admits({ bucket, enabled, enforced }: RateLimit): boolean {
  if (!bucket || Math.random() >= enabled) return true;
  return bucket.take() || Math.random() >= enforced;
}
