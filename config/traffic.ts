// How callers treat a service, as a ServicePolicy writes it: time, retries, balancer, ejection of bad hosts,
// connections. What is not given stays as data planes do it by default. Times are milliseconds once read.
import { z } from 'zod';
import type { FailureRateRules, LatencyRules, TrafficRules } from '../model/traffic.ts';
import { parseDuration } from '../lib/duration.ts';

const time = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  context.addIssue({ code: 'custom', message: 'a duration such as 250ms, 30s or 5m' });
  return z.NEVER;
});

const positiveTime = time.refine((ms) => ms > 0, 'a duration above 0');
const DAY_MS = 86_400_000;
const MAX_COUNT = 4_294_967_295;
const count = z
  .number()
  .refine((value) => Number.isInteger(value) && value >= 0 && value <= MAX_COUNT, 'a whole number from 0 up');
const percent = z
  .number()
  .refine((value) => Number.isInteger(value) && value >= 0 && value <= 100, '0 to 100');

/** Values of Envoy's retry_on that make sense for a caller of a service. */
const CONDITIONS = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'retriable-4xx',
  'refused-stream',
] as const;

const retries = z
  .strictObject({
    /** Beyond the first try. */
    attempts: count.refine((value) => value <= 100, 'at most 100').optional(),
    perTryTimeout: positiveTime.optional(),
    on: z.array(z.enum(CONDITIONS)).optional(),
    /** A try that takes longer goes on beside the next one; the first good answer wins. */
    hedge: z.boolean().optional(),
    /** Beside 421, which is always tried elsewhere. */
    statusCodes: z
      .array(z.number().refine((code) => Number.isInteger(code) && code >= 400 && code <= 599, '400 to 599'))
      .optional(),
  })
  .refine(({ hedge, perTryTimeout }) => hedge !== true || perTryTimeout !== undefined, {
    path: ['hedge'],
    message: 'needs perTryTimeout',
  });

const balancer = z.union([
  z.enum(['roundRobin', 'leastRequest', 'peakEwma', 'random']),
  z.strictObject({
    ringHash: z.strictObject({ header: z.string().regex(/^[A-Za-z0-9-]+$/, 'a header name') }),
  }),
]);

const outlierDetection = z.strictObject({
  consecutive5xx: count.optional(),
  consecutiveGatewayErrors: count.optional(),
  interval: positiveTime.optional(),
  baseEjectionTime: positiveTime.optional(),
  maxEjectionPercent: percent.optional(),
});

const pool = z.strictObject({
  connectTimeout: positiveTime.optional(),
  idleTimeout: time.optional(),
  maxConnections: count.optional(),
  maxPendingRequests: count.optional(),
  maxRequests: count.optional(),
  maxRetries: count.optional(),
  maxRequestsPerConnection: count.optional(),
  tcpKeepalive: positiveTime.optional(),
});

const share = z.number().refine((value) => value > 0 && value <= 100, 'above 0, up to 100');

const failureRate = z.strictObject({
  minSuccessPercent: share.optional(),
  window: z
    .string()
    .transform((text) => parseDuration(text) ?? 0)
    .refine((ms) => ms > 0 && ms <= DAY_MS && ms % 1_000 === 0, 'whole seconds such as 30s, up to 24h')
    .optional(),
  minRequestsPerSecond: count.optional(),
  maxRejectPercent: share.optional(),
  aggression: z
    .number()
    .refine((value) => value >= 1 && value <= 100, '1 to 100')
    .optional(),
});

const someOf = count.refine((value) => value >= 1, 'a whole number from 1 up');
const anyShare = z.number().refine((value) => value >= 0 && value <= 100, '0 to 100');

const upToADay = positiveTime.refine((ms) => ms <= DAY_MS, 'at most 24h');

const latency = z
  .strictObject({
    percentile: anyShare.optional(),
    interval: upToADay.optional(),
    minConcurrency: someOf.optional(),
    maxConcurrency: someOf.optional(),
    baselineInterval: upToADay.optional(),
    baselineRequests: someOf.optional(),
    jitterPercent: anyShare.optional(),
    bufferPercent: anyShare.optional(),
  })
  .refine(({ minConcurrency = 3, maxConcurrency = 1_000 }) => minConcurrency <= maxConcurrency, {
    path: ['maxConcurrency'],
    message: 'below minConcurrency (3 if not given)',
  });

const breaker = z.strictObject({
  /** On the side of callers: while too few answers are good. */
  failureRate: failureRate.optional(),
  /** On the side of the service: while requests take longer than they do without load. */
  latency: latency.optional(),
});

const WHEN = ['auto', 'on', 'off'] as const;

const activeChecks = z.union([
  z.enum(WHEN),
  z.strictObject({
    when: z.enum(WHEN).optional(),
    interval: positiveTime.optional(),
    timeout: positiveTime.optional(),
  }),
]);

export const trafficFields = {
  /** Of a whole request, retries included; 0 is none. */
  timeout: time.optional(),
  retries: retries.optional(),
  balancer: balancer.optional(),
  outlierDetection: outlierDetection.optional(),
  pool: pool.optional(),
  breaker: breaker.optional(),
  /** Of endpoints behind sidecars, by the service's name. */
  activeChecks: activeChecks.optional(),
};

export type TrafficFields = z.infer<z.ZodObject<typeof trafficFields>>;

/** undefined when nothing is given. */
export function trafficFrom(fields: TrafficFields): TrafficRules | undefined {
  const rules: TrafficRules = {
    timeoutMs: fields.timeout,
    retries: fields.retries && {
      attempts: fields.retries.attempts,
      perTryMs: fields.retries.perTryTimeout,
      hedge: fields.retries.hedge,
      on: fields.retries.on,
      statusCodes: fields.retries.statusCodes,
    },
    balancer: fields.balancer,
    outlier: fields.outlierDetection && {
      consecutive5xx: fields.outlierDetection.consecutive5xx,
      consecutiveGateway: fields.outlierDetection.consecutiveGatewayErrors,
      intervalMs: fields.outlierDetection.interval,
      baseEjectionMs: fields.outlierDetection.baseEjectionTime,
      maxEjectionPercent: fields.outlierDetection.maxEjectionPercent,
    },
    pool: fields.pool && {
      connectTimeoutMs: fields.pool.connectTimeout,
      idleMs: fields.pool.idleTimeout,
      maxConnections: fields.pool.maxConnections,
      maxPending: fields.pool.maxPendingRequests,
      maxRequests: fields.pool.maxRequests,
      maxRetries: fields.pool.maxRetries,
      maxRequestsPerConnection: fields.pool.maxRequestsPerConnection,
      keepAliveMs: fields.pool.tcpKeepalive,
    },
    breaker: breakerFrom(fields.breaker),
    activeChecks: checksFrom(fields.activeChecks),
  };
  return Object.values(rules).some((value) => value !== undefined) ? rules : undefined;
}

function breakerFrom(fields: TrafficFields['breaker']): TrafficRules['breaker'] {
  const { failureRate, latency } = fields ?? {};
  if (!failureRate && !latency) return undefined;
  return {
    failureRate: failureRate && failureRateFrom(failureRate),
    latency: latency && latencyFrom(latency),
  };
}

function failureRateFrom({ window, ...rest }: z.infer<typeof failureRate>): FailureRateRules {
  return { ...rest, windowMs: window };
}

function latencyFrom({ interval, baselineInterval, ...rest }: z.infer<typeof latency>): LatencyRules {
  return { ...rest, intervalMs: interval, baselineMs: baselineInterval };
}

function checksFrom(fields: TrafficFields['activeChecks']): TrafficRules['activeChecks'] {
  if (fields === undefined) return undefined;
  if (typeof fields === 'string') return { when: fields };
  return { when: fields.when, intervalMs: fields.interval, timeoutMs: fields.timeout };
}
