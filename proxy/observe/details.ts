// Why an answer is what it is, in Envoy's words (%RESPONSE_CODE_DETAILS%): told by response flags and by
// whether the answer came from an upstream.
import { Flag } from '../flags.ts';
import type { StreamRecord } from './record.ts';

/** The first one that is set decides. */
const OWN: readonly (readonly [flag: number, details: string])[] = [
  [Flag.DC, 'downstream_remote_disconnect'],
  [Flag.NR, 'route_not_found'],
  [Flag.NC, 'cluster_not_found'],
  [Flag.OM, 'overload'],
  [Flag.RL, 'local_rate_limited'],
  [Flag.FI, 'fault_filter_abort'],
  [Flag.UH, 'no_healthy_upstream'],
  [Flag.SI, 'stream_idle_timeout'],
  [Flag.DT, 'max_duration_timeout'],
  [Flag.UT, 'response_timeout'],
  [Flag.UC, 'upstream_reset_before_response_started{connection_termination}'],
  [Flag.UO, 'upstream_reset_before_response_started{overflow}'],
  [Flag.UPE, 'upstream_reset_before_response_started{protocol_error}'],
];
const BEGUN: readonly (readonly [flag: number, details: string])[] = [
  [Flag.DC, 'downstream_remote_disconnect'],
  [Flag.SI, 'stream_idle_timeout'],
  [Flag.DT, 'max_duration_timeout'],
  [Flag.UT, 'response_timeout'],
  [Flag.UC, 'upstream_reset_after_response_started{connection_termination}'],
];

/** Answers of the proxy's own without a flag, by their text; any other is a route's. */
const UNFLAGGED: ReadonlyMap<string, string> = new Map([
  ['reached concurrency limit', 'reached_concurrency_limit'],
  ['request timeout', 'request_overall_timeout'],
  ['exceeded request buffer limit while retrying upstream', 'request_payload_exceeded_retry_buffer_limit'],
]);

/** '' when there is nothing to say. */
export function detailsOf(record: StreamRecord): string {
  if (record.details !== '') return record.details;
  const { flags } = record;
  // Of a response that came from an upstream URX tells only that it was not tried again.
  if (record.fromUpstream) return BEGUN.find(([flag]) => (flags & flag) !== 0)?.[1] ?? 'via_upstream';
  if ((flags & Flag.UF) !== 0) {
    const reason = record.connectFailure.replace(/\s/g, '_');
    return `upstream_reset_before_response_started{remote_connection_failure|${reason}}`;
  }
  const own = OWN.find(([flag]) => (flags & flag) !== 0)?.[1];
  if (own !== undefined || record.status === 0) return own ?? '';
  return UNFLAGGED.get(record.localBody) ?? 'direct_response';
}
