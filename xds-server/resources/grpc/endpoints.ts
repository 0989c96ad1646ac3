// The endpoints of a cluster for gRPC clients, which are stricter and know less than Envoy.
import type { MergedPort } from '../../../model/merge/types.ts';
import type { ServiceRules } from '../../../model/rules.ts';
import type { EncodedResource } from '../../resource.ts';
import { buildEndpoints } from '../endpoints.ts';

/** @param envoys what Envoy gets; equal bytes are shared. */
export function buildGrpcEndpoints(
  name: string,
  port: MergedPort,
  rules: ServiceRules,
  envoys: EncodedResource | undefined,
): EncodedResource {
  const own = buildEndpoints(name, port, rules.policy);
  return own.version === envoys?.version ? envoys : own;
}
