// What the columns of each list are. Stable: scripts cut them by white space; new ones come last. `-o wide` is
// for people: its cells may have spaces in them.
import type {
  EndpointJson,
  LoadJson,
  ProxyJson,
  ProxyTypeJson,
  ResourceJson,
  ServiceJson,
  SourceJson,
} from '../admin/types.ts';
import type { View } from './output.ts';
import type { Colour } from './paint.ts';
import { age, ageOf, percent } from './table.ts';

const BY_STATE: Readonly<Record<string, Colour>> = {
  live: 'green',
  SYNCED: 'green',
  syncing: 'yellow',
  stale: 'yellow',
  held: 'yellow',
  STALE: 'yellow',
  NACKED: 'red',
  quarantined: 'red',
  drained: 'grey',
  NOT_SENT: 'grey',
};

/** @param nowMs for ages. */
export function sourcesView(nowMs: number): View<SourceJson> {
  return {
    columns: [
      { title: 'NAME', text: (s) => s.name },
      { title: 'KIND', text: (s) => s.kind },
      { title: 'STATE', text: (s) => s.state, colour: (s) => BY_STATE[s.state] },
      // How long ago the source last gave a good answer: small for a live one, growing for a stale one.
      { title: 'LAST-SUCCESS', text: (s) => ageOf(s.lastSuccess, nowMs) },
      { title: 'STALE', text: (s) => (s.state === 'stale' ? age(s.staleSeconds) : '') },
      { title: 'SERVICES', text: (s) => String(s.services) },
      { title: 'ENDPOINTS', text: (s) => String(s.endpoints) },
      { title: 'CAUSE', text: (s) => s.cause },
    ],
    wide: [],
    none: 'No sources.',
  };
}

export function servicesView(): View<ServiceJson> {
  return {
    columns: [
      { title: 'NAME', text: (s) => s.service },
      { title: 'READY', text: (s) => `${s.ready}/${s.endpoints}` },
      { title: 'PORTS', text: (s) => s.ports.map(portText).join(',') },
      {
        title: 'SOURCES',
        text: (s) => s.sources.map((o) => `${o.name}:${o.ready}/${o.endpoints}`).join(','),
      },
    ],
    wide: [
      { title: 'POLICY', text: (s) => s.policy },
      { title: 'ALIASES', text: (s) => s.aliases.join(',') },
      { title: 'EMPTY', text: (s) => s.emptiness ?? '' },
      { title: 'CONFLICTS', text: (s) => String(s.conflicts.length) },
    ],
    none: 'No services.',
  };
}

function portText(port: ServiceJson['ports'][number]): string {
  const name = port.name === '' ? 'primary' : port.name;
  return port.port === 0 ? name : `${name}:${port.port}`;
}

export function endpointsView(nowMs: number): View<EndpointJson> {
  return {
    columns: [
      { title: 'SERVICE', text: (e) => e.service },
      { title: 'ADDRESS', text: addressText },
      { title: 'PORT', text: (e) => e.portName || 'primary' },
      { title: 'STATE', text: (e) => e.state, colour: (e) => BY_STATE[e.state] },
      { title: 'HEALTH', text: (e) => e.health, colour: healthColour },
      { title: 'WEIGHT', text: (e) => String(e.weight) },
      { title: 'SHARE', text: (e) => percent(e.share) },
      { title: 'SOURCES', text: (e) => e.sources.join(','), wide: (e) => e.sources.join(' ') },
    ],
    wide: [
      { title: 'SINCE', text: (e) => ageOf(e.since, nowMs) },
      {
        title: 'LOCALITY',
        text: (e) => [e.locality.region, e.locality.zone, e.locality.subZone].filter(Boolean).join('/'),
      },
      { title: 'NETWORK', text: (e) => e.network },
      {
        title: 'LABELS',
        text: (e) =>
          Object.entries(e.labels)
            .map(([k, v]) => `${k}=${v}`)
            .join(','),
      },
      { title: 'PRIORITY', text: (e) => (e.priority === null ? '' : String(e.priority)) },
      { title: 'SIDE', text: (e) => e.side },
      { title: 'REASON', text: (e) => e.reason },
    ],
    none: 'No endpoints.',
  };
}

/** @param nowMs for ages. */
export function resourcesView(nowMs: number): View<ResourceJson> {
  return {
    columns: [
      { title: 'NAMESPACE', text: (r) => r.namespace },
      { title: 'NAME', text: (r) => r.name },
      { title: 'ORIGIN', text: (r) => r.origin },
      { title: 'AGE', text: (r) => ageOf(r.since, nowMs) },
      { title: 'REVISION', text: (r) => r.revision },
      { title: 'PROBLEM', text: (r) => r.problem, colour: () => 'red' },
    ],
    wide: [
      { title: 'FILE', text: (r) => r.file },
      { title: 'BY', text: (r) => r.by },
    ],
    none: 'No resources.',
  };
}

function addressText(e: EndpointJson): string {
  return e.address.includes(':') ? `[${e.address}]:${e.port}` : `${e.address}:${e.port}`;
}

function healthColour(e: EndpointJson): Colour | undefined {
  if (e.health === 'unhealthy') return 'red';
  return e.health === 'draining' || e.health === 'degraded' ? 'yellow' : undefined;
}

const TYPES_SHOWN = ['cds', 'lds', 'eds', 'rds'] as const;

const isShown = (type: string): boolean => TYPES_SHOWN.some((shown) => shown === type);

/** Of one proxy: the usual types first, then those that it has asked for beside them. */
export function typesOf({ types }: ProxyJson): readonly (ProxyTypeJson & { readonly type: string })[] {
  const names = [...TYPES_SHOWN, ...Object.keys(types).filter((type) => !isShown(type))];
  return names.flatMap((type) => {
    const status = types[type];
    return status ? [{ type, ...status }] : [];
  });
}

/** `rtds:SYNCED,sds:NOT_SENT` */
const othersText = (proxy: ProxyJson): string =>
  othersOf(proxy)
    .map(({ type, state }) => `${type}:${state}`)
    .join(',');

const othersOf = (proxy: ProxyJson) => typesOf(proxy).filter(({ type }) => !isShown(type));

/** The columns of `proxy-status`, in istioctl's order, and of `get proxies`. */
export function proxiesView(nowMs: number): View<ProxyJson> {
  return {
    columns: [
      { title: 'NAME', text: (p) => p.node },
      { title: 'SERVICE', text: (p) => p.service },
      ...TYPES_SHOWN.map((type) => ({
        title: type.toUpperCase(),
        text: (p: ProxyJson) => p.types[type]?.state ?? '',
        colour: (p: ProxyJson) => BY_STATE[p.types[type]?.state ?? ''],
      })),
      { title: 'AGE', text: (p) => ageOf(p.connectedSince, nowMs) },
      { title: 'VERSION', text: (p) => `${p.kind} ${p.version}` },
      {
        title: 'OTHERS',
        text: othersText,
        colour: (p) => BY_STATE[othersOf(p).find(({ state }) => state === 'NACKED')?.state ?? ''],
      },
    ],
    wide: [
      { title: 'SCOPE', text: (p) => String(p.scope ?? 'all') },
      { title: 'IDENTITY', text: (p) => p.identity ?? '' },
      { title: 'ERROR', text: (p) => refusals(p).join('; ') },
    ],
    none: 'No proxy is connected.',
  };
}

export function loadView(byNode: boolean): View<LoadJson> {
  return {
    columns: [
      { title: 'CLUSTER', text: (l) => l.cluster },
      { title: 'SIDE', text: (l) => l.side },
      {
        title: 'LOCALITY',
        text: (l) => [l.locality.region, l.locality.zone, l.locality.subZone].filter(Boolean).join('/'),
      },
      ...(byNode ? [{ title: 'NODE', text: (l: LoadJson) => l.node }] : []),
      { title: 'RPS', text: (l) => l.requestsPerSecond?.toFixed(1) ?? '' },
      {
        title: 'SUCCESS',
        text: (l) => (l.successRate === null ? '' : `${(l.successRate * 100).toFixed(2)}%`),
      },
      { title: 'ERRORS', text: (l) => String(l.errors), colour: (l) => (l.errors > 0 ? 'red' : undefined) },
      { title: 'P50', text: (l) => millis(l.latency?.p50Seconds) },
      { title: 'P99', text: (l) => millis(l.latency?.p99Seconds) },
      { title: 'DROPPED', text: (l) => String(l.dropped) },
      { title: 'PROXIES', text: (l) => String(l.reporters) },
    ],
    wide: [
      { title: 'OK', text: (l) => String(l.successes) },
      { title: 'ISSUED', text: (l) => String(l.issued) },
      { title: 'IN-PROGRESS', text: (l) => String(l.inProgress) },
      { title: 'TIMED', text: (l) => String(l.latency?.samples ?? 0) },
      { title: 'LAST', text: (l) => l.lastReport },
    ],
    none: 'No data plane reported requests in this time.',
  };
}

const millis = (seconds: number | undefined): string =>
  seconds === undefined ? '' : `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)}ms`;

/** What a proxy refused: `cds: resource orders.default: <its own words>`. */
export function refusals(proxy: ProxyJson): readonly string[] {
  return Object.entries(proxy.types).flatMap(([type, { state, error, resource, refused }]) => {
    if (state !== 'NACKED') return [];
    return (refused ?? [{ resource, error }]).map(
      (one) => `${type}: ${one.resource === '' ? '' : `resource ${one.resource}: `}${one.error}`,
    );
  });
}
