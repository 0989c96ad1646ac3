// The resource types this server answers for: those of the catalogue, and the order in which a change of several
// leaves; and those that are asked for by name alone (see named/).
import type { FurtherType } from '../model/proxies.ts';
import { typeUrl } from '../proto/codec.ts';

export type ResourceType = 'cds' | 'eds' | 'lds' | 'rds';

/** No catalogue behind it, no wildcard, and no place in the order of a change. */
export type NamedType = FurtherType;

export type AnyType = ResourceType | NamedType;

/** Make before break: what is referenced leaves before what refers to it (xDS protocol, "Eventual consistency"). */
export const PUSH_ORDER: readonly ResourceType[] = ['cds', 'eds', 'lds', 'rds'];

const NAMED_TYPES: readonly NamedType[] = ['rtds', 'sds', 'ecds', 'srds', 'vhds'];

export const ALL_TYPES: readonly AnyType[] = [...PUSH_ORDER, ...NAMED_TYPES];

export const MESSAGE_NAME: Readonly<Record<AnyType, string>> = {
  cds: 'envoy.config.cluster.v3.Cluster',
  eds: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  lds: 'envoy.config.listener.v3.Listener',
  rds: 'envoy.config.route.v3.RouteConfiguration',
  rtds: 'envoy.service.runtime.v3.Runtime',
  sds: 'envoy.extensions.transport_sockets.tls.v3.Secret',
  ecds: 'envoy.config.core.v3.TypedExtensionConfig',
  srds: 'envoy.config.route.v3.ScopedRouteConfiguration',
  vhds: 'envoy.config.route.v3.VirtualHost',
};

export const TYPE_URL: Readonly<Record<AnyType, string>> = {
  cds: typeUrl(MESSAGE_NAME.cds),
  eds: typeUrl(MESSAGE_NAME.eds),
  lds: typeUrl(MESSAGE_NAME.lds),
  rds: typeUrl(MESSAGE_NAME.rds),
  rtds: typeUrl(MESSAGE_NAME.rtds),
  sds: typeUrl(MESSAGE_NAME.sds),
  ecds: typeUrl(MESSAGE_NAME.ecds),
  srds: typeUrl(MESSAGE_NAME.srds),
  vhds: typeUrl(MESSAGE_NAME.vhds),
};

const byUrl = <T extends AnyType>(types: readonly T[]): ReadonlyMap<string, T> =>
  new Map(types.map((type) => [TYPE_URL[type], type]));

const RESOURCES = byUrl(PUSH_ORDER);
const NAMED = byUrl(NAMED_TYPES);

export const resourceTypeOf = (url: string): ResourceType | undefined => RESOURCES.get(url);

export const namedTypeOf = (url: string): NamedType | undefined => NAMED.get(url);
