// Who the proxy says it is: the Node of its first request. `cluster` is the canonical service name, which
// the control plane matches policies and inbound configuration by.
import type { Locality } from '../../model/endpoint.ts';
import type { AppCheck } from '../../model/sidecars.ts';
import type { Node } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { Struct } from '../../proto/gen/types/google/protobuf/Struct.ts';
import type { Value } from '../../proto/gen/types/google/protobuf/Value.ts';

export const USER_AGENT_NAME = 'isthmus-proxy';

export interface NodeIdentity {
  readonly id: string;
  /** Canonical `name.namespace`. */
  readonly service: string;
  /** Of the package. */
  readonly version: string;
  readonly locality?: Locality;
  /** HOST:PORT to listen on; the control plane has defaults. */
  readonly outbound?: string;
  readonly inbound?: string;
  /** The application's port on loopback. Absent: nothing is served inbound. */
  readonly appPort?: number;
  /** More services beside it, each with a HOST:PORT of its own. */
  readonly further?: readonly NodeFurther[];
  /** Services reached by TCP on an address of their own: HOST:PORT. */
  readonly upstreams?: readonly { readonly service: string; readonly listen: string }[];
  readonly scope?: 'all' | 'on-demand';
  /** Names of services; it is told of no others. */
  readonly calls?: readonly string[];
  /** What it says of the app beside it; absent: it does not register. */
  readonly register?: NodeRegistration;
}

export interface NodeFurther {
  /** Canonical. */
  readonly service: string;
  readonly appPort: number;
  readonly inbound: string;
}

export interface NodeRegistration {
  /** IP address where others reach the proxy; absent: the one that its connection comes from. */
  readonly address?: string;
  readonly weight?: number;
  readonly healthPath?: string;
  readonly protocol?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly check?: Partial<AppCheck>;
}

export function buildNode(identity: NodeIdentity): Node {
  const { id, service, version, locality, outbound, inbound, appPort, upstreams = [], register } = identity;
  const { calls, scope, further = [] } = identity;
  const isthmus: Record<string, string | number> = { service };
  if (outbound !== undefined) isthmus.outbound = outbound;
  if (inbound !== undefined) isthmus.inbound = inbound;
  if (appPort !== undefined) isthmus.appPort = appPort;
  if (scope !== undefined) isthmus.scope = scope;
  return {
    id,
    cluster: service,
    user_agent_name: USER_AGENT_NAME,
    user_agent_version: version,
    metadata: struct({
      isthmus: {
        structValue: struct({
          ...mapValues(isthmus, scalar),
          ...(upstreams.length > 0 && { upstreams: listOf(upstreams) }),
          ...(further.length > 0 && { further: listOf(further.map((also) => ({ ...also }))) }),
          ...(calls && { calls: { listValue: { values: calls.map(scalar) } } }),
          ...(register && { register: registerValue(register) }),
        }),
      },
    }),
    ...(locality && {
      locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
    }),
  };
}

const struct = (fields: Record<string, Value>): Struct => ({ fields });

const scalar = (value: string | number): Value =>
  typeof value === 'number' ? { numberValue: value } : { stringValue: value };

function registerValue({ labels, check, ...rest }: NodeRegistration): Value {
  const fields = mapValues(rest, scalar);
  if (labels) fields.labels = record(labels);
  if (check) fields.check = record(check);
  return { structValue: struct(fields) };
}

const record = (values: Readonly<Record<string, string | number>>): Value => ({
  structValue: struct(mapValues(values, scalar)),
});

const listOf = (records: readonly Readonly<Record<string, string | number>>[]): Value => ({
  listValue: { values: records.map(record) },
});

function mapValues<A, B>(record: Record<string, A>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
