// What one client holds, resource by resource, as far as its answers tell: for client status (CSDS), config
// dumps and people. Read when it is asked for; nothing is kept for it.
import type { Scope } from '../../model/scope.ts';
import type { DialectName } from '../dialect.ts';
import type { EncodedResource } from '../resource.ts';
import type { AnyType } from '../types.ts';
import { inboundsOf } from '../view.ts';
import type { GroupKey, View } from '../view.ts';
import { visibleNames } from './subscription.ts';
import type { Subscription } from './subscription.ts';

/**
 * `SYNCED`: acknowledged. `STALE`: sent, no answer yet. `NOT_SENT`: it waits for its turn, or it does not
 * exist. `ERROR`: refused; the client stays on what it had.
 */
export type ResourceState = 'SYNCED' | 'STALE' | 'NOT_SENT' | 'ERROR';

export interface ResourceStatus {
  readonly name: string;
  readonly state: ResourceState;
  /** As the server has it now; undefined: asked for, and there is none of that name. */
  readonly resource: EncodedResource<AnyType> | undefined;
  /** The client's own words for what it refused; '' otherwise. */
  readonly error: string;
}

/** Of one stream. */
export interface ClientState {
  /** node.id */
  readonly id: string;
  readonly dialect: DialectName;
  readonly scope: Scope;
  /** Services it stands beside, each with the listener that takes calls for it. */
  readonly inbounds: readonly { readonly listener: string; readonly service: string }[];
  /** Encoded envoy.config.core.v3.Node, without its list of extensions. */
  readonly node: Buffer;
  readonly types: readonly {
    readonly type: AnyType;
    /** Of the last response that was acknowledged; '' before. */
    readonly version: string;
    readonly resources: readonly ResourceStatus[];
  }[];
}

export const standsBeside = (group: GroupKey): ClientState['inbounds'] =>
  group.dialect === 'envoy'
    ? [...inboundsOf(group)].map(([listener, { service }]) => ({ listener, service }))
    : [];

/** Sorted by name. */
export function inspect(sub: Subscription, view: View): readonly ResourceStatus[] {
  return [...visibleNames(sub, view)].sort().map((name) => {
    const resource = view.get(sub.type, name);
    const parked = sub.parked.get(name);
    if (resource && parked?.version === resource.version) {
      return { name, state: 'ERROR', resource, error: parked.error };
    }
    return { name, state: stateOf(sub, name, resource), resource, error: '' };
  });
}

function stateOf(sub: Subscription, name: string, resource: EncodedResource | undefined): ResourceState {
  if (!resource || !sub.everSent) return 'NOT_SENT';
  const sent = sub.inFlight?.resources.find((one) => one.name === name);
  if (sent?.version === resource.version) return 'STALE';
  const waits = sub.owesFirst || sub.answers.has(name) || sub.dirty.has(name) || sub.withheld.has(name);
  return waits || sub.trials.holds(resource) ? 'NOT_SENT' : 'SYNCED';
}
