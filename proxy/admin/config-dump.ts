// /config_dump in the form of Envoy's own: every held resource as proto3 JSON. There are no secrets among the
// types that the proxy asks for.
import { toJson } from '../../proto/json.ts';
import type { Json } from '../../proto/json.ts';
import { MESSAGE } from '../xds/types.ts';
import type { XdsType } from '../xds/types.ts';
import type { Page } from './page.ts';
import { json, text } from './page.ts';
import type { ProxyState } from './state.ts';

const ADMIN = 'type.googleapis.com/envoy.admin.v3.';

interface Section {
  readonly type: XdsType;
  readonly dump: string;
  readonly field: string;
  /** One item, of its version and resource. */
  readonly item: (name: string, version: string, resource: object) => object;
}

const SECTIONS: readonly Section[] = [
  {
    type: 'cds',
    dump: 'ClustersConfigDump',
    field: 'dynamic_active_clusters',
    item: (_name, version_info, cluster) => ({ version_info, cluster }),
  },
  {
    type: 'eds',
    dump: 'EndpointsConfigDump',
    field: 'dynamic_endpoint_configs',
    item: (_name, version_info, endpoint_config) => ({ version_info, endpoint_config }),
  },
  {
    type: 'lds',
    dump: 'ListenersConfigDump',
    field: 'dynamic_listeners',
    item: (name, version_info, listener) => ({ name, active_state: { version_info, listener } }),
  },
  {
    type: 'rds',
    dump: 'RoutesConfigDump',
    field: 'dynamic_route_configs',
    item: (_name, version_info, route_config) => ({ version_info, route_config }),
  },
];

/** `?include_eds`, `?resource=FIELD`; `mask` is not known here. */
export function configDump(state: ProxyState, query: URLSearchParams): Page {
  if (query.has('mask')) return text('mask is not supported\n', 400);
  const resource = query.get('resource');
  if (resource !== null) {
    const section = SECTIONS.find(({ field }) => field === resource);
    if (!section) return text(`${resource} not found in config dump\n`, 404);
    return json({ configs: itemsOf(state, section) });
  }
  const shown = SECTIONS.filter(({ type }) => type !== 'eds' || query.has('include_eds'));
  const { id, cluster, locality } = state.node;
  const configs = [
    { '@type': `${ADMIN}BootstrapConfigDump`, bootstrap: { node: { id, cluster, locality } } },
    ...shown.map((section) => ({ '@type': ADMIN + section.dump, [section.field]: itemsOf(state, section) })),
  ];
  return json({ configs, isthmus: own(state) });
}

function itemsOf(state: ProxyState, { type, item }: Section): object[] {
  return [...state.store.held(type)].map(([name, { version, bytes }]) =>
    item(name, version, dumpOf(type, bytes)),
  );
}

/** The link to the control plane, and what the data path runs on. */
function own({ phase, version, ads, tables }: ProxyState): object {
  return {
    phase,
    version,
    control_plane: {
      connected: ads.connected,
      identifier: ads.controlPlane,
      last_fault: ads.lastFault,
      types: ads.types,
    },
    listeners: [...tables.listeners.values()].map(({ name, address, port, direction }) => ({
      name,
      address,
      port,
      direction,
    })),
  };
}

/** A part of a type that is not known here (another server's extension) must not take the page down. */
function dumpOf(type: XdsType, bytes: Uint8Array): object {
  const url = { '@type': `type.googleapis.com/${MESSAGE[type]}` };
  try {
    return { ...url, ...(toJson(MESSAGE[type], bytes) as Record<string, Json>) };
  } catch {
    return { ...url, undecoded: Buffer.from(bytes).toString('base64') };
  }
}
