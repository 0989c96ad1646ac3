// The resources a client may see, in the form of Envoy's own config dump (envoy.admin.v3.ConfigDump), so that
// tools for that read ours: per type one part, per resource its version and, of one client, what became of it.
import { toJson } from '../proto/json.ts';
import type { Json } from '../proto/json.ts';
import type { ResourceSet } from './dialect.ts';
import type { EncodedResource } from './resource.ts';
import type { ClientState, ResourceStatus } from './stream/inspect.ts';
import { MESSAGE_NAME, PUSH_ORDER, TYPE_URL } from './types.ts';
import type { ResourceType } from './types.ts';
import type { View } from './view.ts';

type Entry = Readonly<Record<string, Json>>;
type Seen = ResourceSet & Pick<View, 'setVersion'>;

/** Of all clients when `state` is not given. Secrets have no form here: their type is not served. */
export function configDump(view: Seen, state?: ClientState): Json {
  return { configs: PUSH_ORDER.map((type) => PARTS[type](view, state)) };
}

/** The assignments alone, as an array. */
export function endpointsDump(view: Seen, state?: ClientState): Json {
  return entries('eds', view, state).map(({ resource }) => message('eds', resource));
}

const PARTS: Readonly<Record<ResourceType, (view: Seen, state?: ClientState) => Json>> = {
  cds: (view, state) => ({
    '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump',
    version_info: view.setVersion('cds'),
    dynamic_active_clusters: dynamic('cds', 'cluster', view, state),
  }),
  eds: (view, state) => ({
    '@type': 'type.googleapis.com/envoy.admin.v3.EndpointsConfigDump',
    dynamic_endpoint_configs: dynamic('eds', 'endpoint_config', view, state),
  }),
  lds: (view, state) => ({
    '@type': 'type.googleapis.com/envoy.admin.v3.ListenersConfigDump',
    version_info: view.setVersion('lds'),
    dynamic_listeners: entries('lds', view, state).map(({ resource, status }) => ({
      name: resource.name,
      active_state: { version_info: resource.version, listener: message('lds', resource) },
      ...outcome(resource, status),
    })),
  }),
  rds: (view, state) => ({
    '@type': 'type.googleapis.com/envoy.admin.v3.RoutesConfigDump',
    dynamic_route_configs: dynamic('rds', 'route_config', view, state),
  }),
};

function dynamic(type: ResourceType, field: string, view: Seen, state: ClientState | undefined): Entry[] {
  return entries(type, view, state).map(({ resource, status }) => ({
    version_info: resource.version,
    [field]: message(type, resource),
    ...outcome(resource, status),
  }));
}

const message = (type: ResourceType, { bytes }: EncodedResource): Entry => ({
  '@type': TYPE_URL[type],
  ...(toJson(MESSAGE_NAME[type], bytes) as Entry),
});

interface Shown {
  readonly resource: EncodedResource;
  readonly status: ResourceStatus | undefined;
}

/** What a wildcard covers and what the client named, by name. */
function entries(type: ResourceType, view: Seen, state: ClientState | undefined): readonly Shown[] {
  const own = state?.types.filter((of) => of.type === type).flatMap(({ resources }) => resources) ?? [];
  const statuses = new Map(own.map((status) => [status.name, status]));
  const names = new Set([...view.names(type), ...statuses.keys()]);
  return [...names].sort().flatMap((name) => {
    const resource = view.get(type, name);
    return resource ? [{ resource, status: statuses.get(name) }] : [];
  });
}

/** envoy.admin.v3.ClientResourceStatus */
const CLIENT_STATUS = {
  SYNCED: 'ACKED',
  STALE: 'REQUESTED',
  NOT_SENT: 'REQUESTED',
  ERROR: 'NACKED',
} as const;

function outcome({ version }: EncodedResource, status: ResourceStatus | undefined): Entry {
  if (!status) return {};
  const { state, error } = status;
  return {
    client_status: CLIENT_STATUS[state],
    ...(state === 'ERROR' ? { error_state: { details: error, version_info: version } } : {}),
  };
}
