// Which endpoints callers check by name, and how (design: who pings). An endpoint behind a sidecar can say whose it is,
// any other cannot; and callers × endpoints grows fast, so beyond a number of pairs nobody pings who need not.
import type { MergedEndpoint, MergedPort } from '../../model/merge/types.ts';
import type { ServiceRules } from '../../model/rules.ts';
import { APP_PORT_LABEL, HEALTH_PATH_LABEL } from '../../model/sidecars.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import { duration } from './policy.ts';
import { SERVICE_HEADER } from './routes.ts';

/** Callers × endpoints; above it callers stop, and begin again at half of it. */
const MOST_PAIRS = 10_000;
const INTERVAL_MS = 5_000;
const TIMEOUT_MS = 2_000;
/** Silence counts as one of so many; another name at once. */
const FALL = 3;

export interface NamedCheck {
  /** Canonical: whom endpoints have to answer as. */
  readonly service: string;
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  isAsked(endpoint: MergedEndpoint): boolean;
}

/** It stands behind a sidecar that is believed. */
export const isNamed = ({ labels }: MergedEndpoint): boolean => labels[APP_PORT_LABEL] !== undefined;

/**
 * undefined: callers do not check it.
 * @param isRoom whether the pairs of all services together are few enough.
 */
export function namedCheck(
  service: string,
  port: MergedPort,
  { identity, traffic }: ServiceRules,
  isRoom: boolean,
): NamedCheck | undefined {
  const { when = 'auto', intervalMs = INTERVAL_MS, timeoutMs = TIMEOUT_MS } = traffic?.activeChecks ?? {};
  const isStrict = identity === 'strict';
  if (when === 'off' || !['', 'http', 'http1'].includes(port.protocol.toLowerCase())) return undefined;
  if (when === 'auto' && !isRoom && !isStrict) return undefined;
  const path = commonPath(port.endpoints);
  if (path === undefined && !isStrict) return undefined;
  const times = { intervalMs, timeoutMs: Math.min(timeoutMs, intervalMs) };
  return {
    service,
    path: path ?? ANY_PATH,
    ...times,
    isAsked: (endpoint) => isStrict || (isNamed(endpoint) && pathOf(endpoint) === path),
  };
}

const pathOf = ({ labels }: MergedEndpoint): string => labels[HEALTH_PATH_LABEL] ?? ANY_PATH;

/** A cluster has one check: that of most sidecars. */
function commonPath(endpoints: readonly MergedEndpoint[]): string | undefined {
  const counts = new Map<string, number>();
  for (const endpoint of endpoints) {
    if (isNamed(endpoint)) counts.set(pathOf(endpoint), (counts.get(pathOf(endpoint)) ?? 0) + 1);
  }
  const [first] = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  return first?.[0];
}

/** Who names no health path is asked for its name only: a 404 there says nothing of its health. 421 names another. */
const ANY_PATH = '/';
const NOT_MISDIRECTED = [
  { start: 100, end: 421 },
  { start: 422, end: 600 },
];
const WELL = [{ start: 200, end: 400 }];

export function healthChecks(check: NamedCheck): NonNullable<Cluster['health_checks']> {
  const { service, path, intervalMs, timeoutMs } = check;
  return [
    {
      timeout: duration(timeoutMs),
      interval: duration(intervalMs),
      // The default is a minute, in which a caller that begins to call would know nothing.
      no_traffic_interval: duration(intervalMs),
      // Callers that began together do not ask together for ever.
      interval_jitter_percent: 10,
      unhealthy_threshold: { value: FALL },
      healthy_threshold: { value: 1 },
      // What lives at an address is asked anew each time.
      reuse_connection: { value: false },
      http_health_check: {
        host: service,
        path,
        expected_statuses: path === ANY_PATH ? NOT_MISDIRECTED : WELL,
        request_headers_to_add: [
          { header: { key: SERVICE_HEADER, value: service }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        ],
        service_name_matcher: { exact: service },
      },
    },
  ];
}

/** Counts pairs over all services. */
export class Pairs {
  readonly #endpoints = new Map<string, number>();
  #all = 0;
  #callers = 0;
  #isRoom = true;

  get isRoom(): boolean {
    return this.#isRoom;
  }

  /** Services with endpoints that could be asked. */
  get services(): Iterable<string> {
    return this.#endpoints.keys();
  }

  /** @returns whether it is otherwise than before that there is room. */
  setCallers(callers: number): boolean {
    this.#callers = callers;
    return this.#judge();
  }

  /** @param endpoints of a service that could be asked. Result as of setCallers(). */
  setEndpoints(service: string, endpoints: number): boolean {
    this.#all += endpoints - (this.#endpoints.get(service) ?? 0);
    if (endpoints === 0) this.#endpoints.delete(service);
    else this.#endpoints.set(service, endpoints);
    return this.#judge();
  }

  #judge(): boolean {
    const pairs = this.#callers * this.#all;
    const isRoom = pairs <= (this.#isRoom ? MOST_PAIRS : MOST_PAIRS / 2);
    if (isRoom === this.#isRoom) return false;
    this.#isRoom = isRoom;
    return true;
  }
}
