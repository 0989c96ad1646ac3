// HTTPFault → Fault.
import type { HTTPFault__Output } from '../../proto/gen/types/envoy/extensions/filters/http/fault/v3/HTTPFault.ts';
import type { Fault, FaultPart } from '../filters/rules.ts';
import { partOf } from './fraction.ts';
import { compileHeader } from './match.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

/** @throws FieldRefusal */
export function compileFault(message: HTTPFault__Output): Fault {
  // The last one chooses statistics that are not kept here.
  assertOnly(message, ['delay', 'abort', 'upstream_cluster', 'headers', 'disable_downstream_cluster_stats']);
  const { delay, abort, upstream_cluster: cluster } = message;
  const tests = (message.headers ?? []).map((h, i) => within(`headers[${i}]`, () => compileHeader(h)));
  return {
    ...(delay && { delay: within('delay', () => delayOf(delay)) }),
    ...(abort && { abort: within('abort', () => abortOf(abort)) }),
    ...(cluster && { cluster }),
    ...(tests.length > 0 && { matches: (request) => tests.every((matches) => matches(request)) }),
  };
}

function delayOf(delay: NonNullable<HTTPFault__Output['delay']>): FaultPart {
  assertOnly(delay, ['fixed_delay', 'header_delay', 'fault_delay_secifier', 'percentage']);
  const part = partOf(delay.percentage, 0);
  if (delay.header_delay) return { part };
  if (!delay.fixed_delay) throw new FieldRefusal('fault_delay_secifier', 'missing');
  return { value: durationMs(delay.fixed_delay, 0), part };
}

function abortOf(abort: NonNullable<HTTPFault__Output['abort']>): FaultPart {
  assertOnly(abort, ['http_status', 'header_abort', 'error_type', 'percentage']);
  const part = partOf(abort.percentage, 0);
  if (abort.header_abort) return { part };
  const status = abort.http_status ?? 0;
  if (status < 200 || status > 599) throw new FieldRefusal('http_status', `${status} is not 200…599`);
  return { value: status, part };
}
