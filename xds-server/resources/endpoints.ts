// Where the endpoints of a cluster are: one ClusterLoadAssignment, a pure function of what was merged.
import { isIP } from 'node:net';
import { isOffered, localityGroups } from '../../model/merge/localities.ts';
import type { MergedEndpoint, MergedPort } from '../../model/merge/types.ts';
import type { MergePolicy } from '../../model/rules.ts';
import { encodedResource } from '../resource.ts';
import type { EncodedResource } from '../resource.ts';
import { writeAssignment } from '../wire/assignment.ts';
import type { NamedCheck } from './active-checks.ts';
import { wholeWeights } from './weights.ts';

/** A cluster without endpoints gets an assignment too: an unanswered EDS costs the client 15 s of warming. */
export function buildEndpoints(
  name: string,
  port: MergedPort,
  policy: MergePolicy,
  check?: NamedCheck,
): EncodedResource {
  const isUnchecked = check && ((endpoint: MergedEndpoint) => !check.isAsked(endpoint));
  const sendable = port.endpoints.every(isSendable) ? port.endpoints : port.endpoints.filter(isSendable);
  const weightOf = wholeWeights(sendable);
  const groups = localityGroups(sendable, policy);
  return encodedResource('eds', name, (to) => writeAssignment(to, name, groups, weightOf, isUnchecked), {
    empty: sendable.length === 0,
  });
}

/**
 * What drains is left out. An address that is no IP makes Envoy refuse the whole response, other services'
 * assignments included. Adapters resolve host names; this is the last fence.
 */
export const isSendable = (endpoint: MergedEndpoint): boolean =>
  isOffered(endpoint) &&
  isIP(endpoint.address) !== 0 &&
  !endpoint.address.includes('%') &&
  Number.isInteger(endpoint.port) &&
  endpoint.port > 0 &&
  endpoint.port < 65_536;

export const socketAddress = (address: string, port: number) => ({
  socket_address: { address, port_value: port },
});
