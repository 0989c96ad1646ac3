// AdmissionControl → AdmissionRules. Runtime keys name values of a runtime that does not exist here: defaults count.
import type { AdmissionControl__Output } from '../../proto/gen/types/envoy/extensions/filters/http/admission_control/v3/AdmissionControl.ts';
import type { _envoy_extensions_filters_http_admission_control_v3_AdmissionControl_SuccessCriteria__Output as SuccessCriteria } from '../../proto/gen/types/envoy/extensions/filters/http/admission_control/v3/AdmissionControl.ts';
import type { RuntimePercent__Output } from '../../proto/gen/types/envoy/config/core/v3/RuntimePercent.ts';
import type { AdmissionRules } from '../upstream/admission.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

const FIELDS = [
  'enabled',
  'evaluation_criteria',
  'success_criteria',
  'sampling_window',
  'aggression',
  'sr_threshold',
  'rps_threshold',
  'max_rejection_probability',
];
const WINDOW_MS = 30_000;
const MAX_WINDOW_S = 86_400;
/** OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, UNAUTHENTICATED, FAILED_PRECONDITION, OUT_OF_RANGE, PERMISSION_DENIED, UNIMPLEMENTED. */
const GOOD_GRPC: ReadonlySet<number> = new Set([0, 1, 2, 3, 5, 6, 7, 9, 11, 12, 16]);

/** undefined when it is switched off. @throws FieldRefusal */
export function compileAdmission(message: AdmissionControl__Output): AdmissionRules | undefined {
  assertOnly(message, FIELDS);
  if (message.enabled?.default_value && message.enabled.default_value.value !== true) return undefined;
  const { success_criteria: criteria } = message;
  if (!criteria) throw new FieldRefusal('evaluation_criteria', 'missing');
  const windowS = Math.trunc(durationMs(message.sampling_window, WINDOW_MS) / 1_000);
  if (windowS < 1 || windowS > MAX_WINDOW_S) throw new FieldRefusal('sampling_window', 'must be 1 s … 1 day');
  const threshold = partOf(message.sr_threshold, 95);
  if (threshold === 0) throw new FieldRefusal('sr_threshold', 'must be above 0');
  return {
    windowS,
    threshold,
    aggression: Math.max(1, message.aggression?.default_value ? Number(message.aggression.default_value) : 1),
    minRate: message.rps_threshold?.default_value ?? 0,
    most: partOf(message.max_rejection_probability, 80),
    ...within('success_criteria', () => criteriaOf(criteria)),
  };
}

const partOf = (percent: RuntimePercent__Output | undefined, absent: number): number =>
  (percent ? Math.min(100, Number(percent.default_value?.value ?? 0)) : absent) / 100;

function criteriaOf(message: SuccessCriteria): Pick<AdmissionRules, 'isGood' | 'isGoodGrpc'> {
  assertOnly(message, ['http_criteria', 'grpc_criteria']);
  const { http_criteria: http, grpc_criteria: grpc } = message;
  const ranges = http?.http_success_status?.map(({ start = 0, end = 0 }, i) => {
    if (start < 100 || end > 600 || start >= end) {
      throw new FieldRefusal(`http_criteria.http_success_status[${i}]`, `not within 100…599`);
    }
    return { start, end };
  });
  const codes = grpc ? new Set(grpc.grpc_success_status ?? []) : GOOD_GRPC;
  for (const code of codes) {
    if (code > 16) throw new FieldRefusal('grpc_criteria.grpc_success_status', `${code} is no gRPC status`);
  }
  return {
    isGood: ranges
      ? (status) => ranges.some(({ start, end }) => start <= status && status < end)
      : (status) => status < 500,
    isGoodGrpc: (code) => codes.has(code),
  };
}
