// How long one request may take, from its route, its listener and what its own head says. Numbers only; who
// runs the timers is timers.ts.
import type { Route } from '../route.ts';
import type { HttpRules } from '../tables.ts';
import type { RequestHead } from './request-head.ts';

const GRPC_TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Milliseconds; 0 is off. One per client connection, filled again for each request. */
export class Deadlines {
  timeoutMs = 0;
  perTryMs = 0;
  idleMs = 0;
  durationMs = 0;
  /** What the upstream is told as x-envoy-expected-rq-timeout-ms; 0: nothing. */
  toldMs = 0;

  fill(route: Route, http: HttpRules, head: RequestHead, client: string): void {
    this.timeoutMs = route.timeoutMs;
    if (http.trusts && http.heedDeadline && http.trusts(client)) {
      const told = wholeMs(head.header('x-envoy-expected-rq-timeout-ms'));
      if (told >= 0) this.timeoutMs = told;
    }
    const perTryMs = route.retry?.perTryMs ?? 0;
    // One that is no shorter than the whole would never be reached.
    this.perTryMs = this.timeoutMs > 0 && perTryMs >= this.timeoutMs ? 0 : perTryMs;
    this.toldMs = this.perTryMs > 0 ? this.perTryMs : this.timeoutMs;
    this.idleMs = route.idleMs ?? http.idleMs;
    this.durationMs = durationOf(route, http, head);
  }
}

function durationOf({ duration }: Route, http: HttpRules, head: RequestHead): number {
  if (!duration) return http.maxStreamMs;
  const { maxMs = http.maxStreamMs, grpcMaxMs, grpcOffsetMs = 0 } = duration;
  if (grpcMaxMs === undefined) return maxMs;
  const asked = grpcTimeoutMs(head.header('grpc-timeout'));
  const bounded = grpcMaxMs > 0 && (asked === 0 || asked > grpcMaxMs) ? grpcMaxMs : asked;
  return bounded > grpcOffsetMs ? bounded - grpcOffsetMs : bounded;
}

/** -1 when it is no whole number. */
function wholeMs(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : -1;
}

/** 0 when absent or malformed; at least 1 ms otherwise (gRPC over HTTP/2, Timeout). */
export function grpcTimeoutMs(text: string): number {
  const [, digits, unit = ''] = GRPC_TIMEOUT.exec(text) ?? [];
  if (digits === undefined) return 0;
  return Math.max(1, Math.ceil(Number(digits) * (UNIT_MS[unit] ?? 0)));
}
