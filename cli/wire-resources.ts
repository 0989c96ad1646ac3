// Joins the resources on disk with the aggregator: read once before anything starts, then followed.
import type { Aggregator } from '../aggregator/aggregator.ts';
import { knownSources } from '../config/known-sources.ts';
import { rulesFrom } from '../config/policy.ts';
import { loadResources } from '../config/resources.ts';
import type { Resources } from '../config/resources.ts';
import type { Config } from '../config/schema.ts';
import { watchResources } from '../config/watch-resources.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface FollowedResources {
  readonly ended: Promise<void>;
  /** Who says what a service's policy is, as it is now. */
  policyOrigin(service: string): string;
}

export interface ResourceDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly aggregator: Aggregator;
}

/**
 * Follows the resources until `signal` aborts. A state with a fault changes nothing: the last good one counts.
 * @throws ISTHMUS_RESOURCES_INVALID when the first state has one; there is no good one to fall back on then,
 * and to serve without policies would move traffic.
 */
export async function startResources(
  config: Config,
  { clock, log, metrics, aggregator }: ResourceDeps,
  signal: AbortSignal,
): Promise<FollowedResources> {
  const base = rulesFrom(config.merge);
  const context = { base, sources: knownSources(config) };
  let origins: Resources['policyOrigins'] = new Map();
  const fallback = config.merge.policy ? '`merge` in the config' : 'default';
  const policyOrigin = (service: string) => origins.get(service) ?? fallback;
  const take = ({ rules, policyOrigins, count }: Resources) => {
    origins = policyOrigins;
    aggregator.setRules({ base, services: rules });
    metrics.resources.good.set(1);
    metrics.resources.count.set(count);
  };
  take(await loadResources(config.resources, context));
  if (config.resources.length === 0) return { ended: Promise.resolve(), policyOrigin };
  const ended = watchResources(
    config.resources,
    {
      clock,
      context,
      onResources: (resources) => {
        log.info({ resources: resources.count }, 'resources loaded');
        take(resources);
      },
      onFault: (error) => {
        metrics.resources.good.set(0);
        log.error({ err: error }, 'resources are refused, the last good ones count');
      },
    },
    signal,
  );
  return { ended, policyOrigin };
}
