// Services that cannot be served: each fault is told once, not at every change of the service, and counted.
import type { Clock } from '../lib/clock.ts';
import { IsthmusError, describeError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** A fault that is still there is told again. */
const AGAIN_MS = 600_000;

export function faultReporter(
  log: Logger,
  clock: Clock,
  metrics: Metrics,
): (service: string, error: Error) => void {
  const told = new Map<string, { readonly text: string; readonly at: number }>();
  return (service, error) => {
    metrics.xds.invalidResources.inc({ code: error instanceof IsthmusError ? error.code : 'INTERNAL' });
    const text = describeError(error);
    const before = told.get(service);
    const now = clock.monotonic();
    if (before?.text === text && now - before.at < AGAIN_MS) return;
    told.set(service, { text, at: now });
    log.error({ service, error: text }, 'service cannot be served; its last resources stay');
  };
}
