// What keepers did, for people: one line of the log for each kind of decision, however many services it is
// about, and a counter. Never an address in a metric.
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { KeeperReport } from './keeper/reports.ts';

type Level = 'info' | 'warn' | 'error';

const SAID: Readonly<Record<KeeperReport['type'], readonly [Level, string]>> = {
  guarded: [
    'warn',
    'much left at once: what is missing is doubted until the source has said so for long enough',
  ],
  confirmed: ['info', 'what was doubted has left'],
  relisted: ['info', 'what was doubted is listed again'],
  'held-over': ['warn', 'the hold of a dark source is over, its endpoints are doubted'],
  left: ['warn', 'endpoints of a dark source left'],
  expired: ['error', 'the hold is over, the last endpoints stay; nobody vouches for them'],
  quarantined: ['warn', 'an address answers as another service, it gets no traffic'],
  refuted: ['warn', 'pings refuted endpoints that were held, they left'],
  returned: ['info', 'endpoints that had left answer pings again, they are back'],
  released: ['info', 'an address answers in its own name again, it may get traffic'],
  damped: ['info', 'an endpoint flaps, its weight is lowered'],
};

/** How many services a line names. */
const NAMED = 5;

export function logReports(
  log: Logger,
  metrics: Metrics,
  source: string,
  reports: readonly KeeperReport[],
): void {
  const byType = new Map<KeeperReport['type'], KeeperReport[]>();
  for (const report of reports) {
    const some = byType.get(report.type) ?? [];
    some.push(report);
    byType.set(report.type, some);
  }
  for (const [type, some] of byType) {
    const [level, text] = SAID[type];
    const services = [...new Set(some.flatMap(({ service }) => service ?? []))];
    const endpoints = some.reduce((sum, report) => sum + endpointsOf(report), 0);
    const isShadow = some.some((report) => 'shadow' in report && report.shadow);
    const named = services.slice(0, NAMED);
    log[level](
      { source, services: services.length, named, endpoints, ...(isShadow && { shadow: true }) },
      text,
    );
    metrics.source.decisions.inc({ source, type: isShadow ? `${type}-shadow` : type }, endpoints);
  }
}

function endpointsOf(report: KeeperReport): number {
  if (report.type === 'guarded') return report.missing;
  return 'keys' in report ? report.keys.length : 1;
}
