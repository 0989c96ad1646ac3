// http_filters of a cluster (HttpProtocolOptions) → what is honoured of them: admission control, once, before the codec.
// Any other is refused, unless it is optional.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { AdmissionControl__Output } from '../../proto/gen/types/envoy/extensions/filters/http/admission_control/v3/AdmissionControl.ts';
import type { HttpFilter__Output } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpFilter.ts';
import type { AdmissionRules } from '../upstream/admission.ts';
import { compileAdmission } from './admission.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';

const ADMISSION = 'envoy.extensions.filters.http.admission_control.v3.AdmissionControl';
const CODEC = 'envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec';
const FIELDS = ['name', 'typed_config', 'config_type', 'is_optional', 'disabled'];

/** @throws FieldRefusal */
export function compileUpstreamFilters(filters: readonly HttpFilter__Output[]): AdmissionRules | undefined {
  let found: AdmissionRules | undefined;
  for (const [i, filter] of filters.entries()) {
    within(`http_filters[${i}]`, () => {
      assertOnly(filter, FIELDS);
      const { type_url: url = '', value = Buffer.alloc(0) } = filter.typed_config ?? {};
      if (url === typeUrl(CODEC) || filter.disabled) return;
      if (url === typeUrl(ADMISSION)) {
        if (found) throw new FieldRefusal('typed_config', 'a second admission control is not supported');
        found = within('typed_config', () => compileAdmission(read(value)));
      } else if (!filter.is_optional) {
        throw new FieldRefusal('typed_config', `${url || filter.name || 'missing'} is not supported`);
      }
    });
  }
  const last = filters.at(-1)?.typed_config?.type_url;
  if (filters.length > 0 && last !== typeUrl(CODEC)) {
    throw new FieldRefusal(`http_filters[${filters.length - 1}]`, 'must be the upstream codec');
  }
  return found;
}

function read(value: Buffer): AdmissionControl__Output {
  try {
    return decode<AdmissionControl__Output>(ADMISSION, value);
  } catch {
    throw new FieldRefusal('value', 'cannot be decoded');
  }
}
