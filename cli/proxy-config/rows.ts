// From the config dump of one proxy to lines that people read. Pure; a field that is not there is no fault, for
// Envoy and gRPC are told different things.
import type { View } from '../output.ts';
import type { Colour } from '../paint.ts';

export const SECTIONS = ['clusters', 'endpoints', 'listeners', 'routes'] as const;

export type Section = (typeof SECTIONS)[number];

/** One resource of a proxy. */
export interface DumpedResource {
  readonly name: string;
  readonly version: string;
  /** ACKED, REQUESTED or NACKED; '' for what it may see and did not ask for. */
  readonly state: string;
  /** The proxy's own words for what it refused; '' otherwise. */
  readonly error: string;
  readonly resource: Fields;
}

/** `/debug/config_dump?node=`, in the form of envoy.admin.v3.ConfigDump. */
export interface Dump {
  readonly configs: readonly Fields[];
}

type Fields = Readonly<Record<string, unknown>>;

interface Row {
  readonly cells: readonly string[];
  readonly state: string;
  readonly error: string;
}

/** In which list of the dump a section is, and where in an entry its resource. */
const PLACES: Readonly<Record<Section, { readonly list: string; readonly path: readonly string[] }>> = {
  clusters: { list: 'dynamic_active_clusters', path: ['cluster'] },
  endpoints: { list: 'dynamic_endpoint_configs', path: ['endpoint_config'] },
  listeners: { list: 'dynamic_listeners', path: ['active_state', 'listener'] },
  routes: { list: 'dynamic_route_configs', path: ['route_config'] },
};

const TITLES: Readonly<Record<Section, readonly string[]>> = {
  clusters: ['NAME', 'TYPE', 'BALANCING', 'PANIC'],
  endpoints: ['CLUSTER', 'ADDRESS', 'HEALTH', 'WEIGHT', 'PRIORITY', 'LOCALITY'],
  listeners: ['NAME', 'ADDRESS', 'ROUTES'],
  routes: ['NAME', 'VIRTUAL-HOST', 'DOMAINS', 'CLUSTER'],
};

/** Only what the proxy asked for. */
export function resourcesOf(dump: Dump, section: Section): readonly DumpedResource[] {
  const { list: key, path } = PLACES[section];
  return dump.configs
    .flatMap((config) => list(config[key]))
    .flatMap((entry) => {
      const resource = at(entry, ...path);
      const state = text(entry['client_status']);
      if (!isFields(resource) || state === '') return [];
      const name = text(resource['name']) || text(resource['cluster_name']);
      const version = text(entry['version_info']) || text(at(entry, 'active_state', 'version_info'));
      return [{ name, version, state, error: text(at(entry, 'error_state', 'details')), resource }];
    });
}

/** The lines of a section; a resource may have none, or many. */
export function rowsOf(section: Section, resources: readonly DumpedResource[]): readonly Row[] {
  return resources.flatMap((one) => {
    const lines = LINES[section](one.name, one.resource);
    return lines.map((cells) => ({ cells, state: one.state, error: one.error }));
  });
}

export function sectionView(section: Section): View<Row> {
  return {
    columns: [
      ...TITLES[section].map((title, index) => ({ title, text: (row: Row) => row.cells[index] ?? '' })),
      { title: 'STATE', text: ({ state }) => state, colour: ({ state }) => COLOURS[state] },
    ],
    wide: [{ title: 'ERROR', text: ({ error }) => error }],
    none: `It is not subscribed to any ${section}.`,
  };
}

const COLOURS: Readonly<Record<string, Colour>> = {
  ACKED: 'green',
  REQUESTED: 'yellow',
  NACKED: 'red',
};

type Lines = (name: string, resource: Fields) => readonly (readonly string[])[];

const LINES: Readonly<Record<Section, Lines>> = {
  clusters: (name, cluster) => [
    [
      name,
      text(cluster['type']),
      text(cluster['lb_policy']) || listed(cluster),
      percent(at(cluster, 'common_lb_config', 'healthy_panic_threshold')),
    ],
  ],
  endpoints: (name, assignment) =>
    list(assignment['endpoints']).flatMap((group) =>
      list(group['lb_endpoints']).map((endpoint) => [
        name,
        address(at(endpoint, 'endpoint', 'address')),
        text(endpoint['health_status']) || 'UNKNOWN',
        text(endpoint['load_balancing_weight']),
        text(group['priority']) || '0',
        ['region', 'zone', 'sub_zone'].map((part) => text(at(group, 'locality', part))).join('/'),
      ]),
    ),
  listeners: (name, listener) => [
    [name, address(listener['address']), [...new Set(routeNames(listener))].join(',')],
  ],
  routes: (name, routes) =>
    list(routes['virtual_hosts']).map((host) => [
      name,
      text(host['name']),
      (Array.isArray(host['domains']) ? host['domains'] : []).map(text).join(','),
      [...new Set(list(host['routes']).map((route) => text(at(route, 'route', 'cluster'))))].join(','),
    ]),
};

/** The policies of a list, of which the client takes the first that it knows: `PeakEwma,LeastRequest`. */
function listed(cluster: Fields): string {
  const types = list(at(cluster, 'load_balancing_policy', 'policies')).map((policy) => {
    const config = at(policy, 'typed_extension_config', 'typed_config');
    // In a TypedStruct the type is inside.
    return text(at(config, 'type_url')) || text(at(config, '@type'));
  });
  return types.map((type) => type.slice(type.lastIndexOf('.') + 1)).join(',');
}

/** Names of route configurations, wherever in a listener they stand. */
function routeNames(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(routeNames);
  if (!isFields(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'route_config_name' ? [text(inner)] : routeNames(inner),
  );
}

function address(value: unknown): string {
  const host = text(at(value, 'socket_address', 'address'));
  const port = text(at(value, 'socket_address', 'port_value'));
  if (host === '') return '';
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

const percent = (value: unknown): string => {
  const number = text(isFields(value) ? (value['value'] ?? 0) : value);
  return number === '' ? '' : `${number}%`;
};

function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => (isFields(inner) ? inner[key] : undefined), value);
}

const list = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isFields) : []);

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Of texts and numbers, also wrapped ones. */
function text(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  return isFields(value) && 'value' in value ? text(value['value']) : '';
}
