// Alarms about what the sources say of each other. Only tells; nothing follows from an alarm.
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Conflicts } from './addresses.ts';

/** A line of the log need not list a thousand addresses. */
const SHOWN = 5;

/** Told of each service's identity conflicts as they come and go (rule 4). */
export function conflictAlarm(
  log: Logger,
  metrics: Metrics,
): (service: string, before: Conflicts, after: Conflicts) => void {
  let services = 0;
  return (service, before, after) => {
    services += Number(after.size > 0) - Number(before.size > 0);
    metrics.identity.conflicts.set(services);
    if (after.size === 0) return log.info({ service }, 'no other service claims its addresses any more');
    if (after.size <= before.size) return;
    const addresses = Object.fromEntries([...after].slice(0, SHOWN));
    log.warn({ service, count: after.size, addresses }, 'other services claim its addresses, too');
  };
}
