// The resource types this server offers on ADS, and the order in which a change of several leaves.
import { typeUrl } from '../proto/codec.ts';

export type ResourceType = 'cds' | 'eds' | 'lds' | 'rds';

/** Make before break: what is referenced leaves before what refers to it (xDS protocol, "Eventual consistency"). */
export const PUSH_ORDER: readonly ResourceType[] = ['cds', 'eds', 'lds', 'rds'];

export const MESSAGE_NAME: Readonly<Record<ResourceType, string>> = {
  cds: 'envoy.config.cluster.v3.Cluster',
  eds: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  lds: 'envoy.config.listener.v3.Listener',
  rds: 'envoy.config.route.v3.RouteConfiguration',
};

export const TYPE_URL: Readonly<Record<ResourceType, string>> = {
  cds: typeUrl(MESSAGE_NAME.cds),
  eds: typeUrl(MESSAGE_NAME.eds),
  lds: typeUrl(MESSAGE_NAME.lds),
  rds: typeUrl(MESSAGE_NAME.rds),
};

const BY_URL: ReadonlyMap<string, ResourceType> = new Map(PUSH_ORDER.map((type) => [TYPE_URL[type], type]));

export const resourceTypeOf = (url: string): ResourceType | undefined => BY_URL.get(url);
