// Who a client says it is, read from the node of its first message, and which resources that entitles it to.
import { isIP } from 'node:net';
import { parseListenAddress } from '../config/addresses.ts';
import { defineError, describeError } from '../lib/errors.ts';
import type { Labels } from '../model/endpoint.ts';
import { DEFAULT_NAMESPACE, clusterOf, serviceName, splitServiceName } from '../model/names.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import { hostProblem, normalHost, scopeOf } from '../model/scope.ts';
import type { Scope } from '../model/scope.ts';
import type { Registration } from '../model/sidecars.ts';
import { decode } from '../proto/codec.ts';
import type { Node__Output } from '../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { Struct__Output } from '../proto/gen/types/google/protobuf/Struct.ts';
import { registrationOf } from './registration.ts';
import type { Inbound, ListenAt, Upstream } from './resources/listeners.ts';
import type { EnvoyGroup, GroupKey } from './view.ts';

export interface ClientNode {
  readonly id: string;
  /** Canonical service name; '' when the node names none. */
  readonly service: string;
  readonly kind: ProxyStatus['kind'];
  readonly version: string;
  readonly group: GroupKey;
  /** What it says it calls; undefined: nothing, so that others decide. */
  readonly scope?: Scope;
  /** Those of its service, and what it says beside: a Sidecar resource selects by them. */
  readonly labels: Labels;
  /** It stands beside a service and wants to be called for it. */
  readonly registration?: Registration;
  /** Of the other services beside it. */
  readonly further?: readonly Registration[];
}

export const NODE_INVALID = defineError('ISTHMUS_XDS_NODE_INVALID', (what: string) => `bad node: ${what}`, {
  hint: 'Print a bootstrap with `isthmus bootstrap envoy` and compare its node section.',
});

/** Who calls more than that calls everything. */
const MAX_CALLS = 1_000;
const MAX_LABELS = 64;
const MAX_NAME = 200;
const MAX_FURTHER = 64;
const DEFAULT_OUTBOUND = '127.0.0.1:15001';
const DEFAULT_INBOUND = '0.0.0.0:15006';

/** Throws ISTHMUS_XDS_NODE_INVALID for a node without id or with metadata that makes no sense. */
export function readNode(bytes: Uint8Array): ClientNode {
  const node = decodeNode(bytes);
  if (!node.id) throw NODE_INVALID('the first message has no node.id');
  const own = isthmusMetadata(node.metadata);
  const named = own.get('service') ?? node.cluster ?? '';
  const service = named === '' || named.includes('.') ? named.toLowerCase() : serviceName(named);
  const kind = kindOf(node);
  const group: GroupKey =
    kind === 'grpc'
      ? { dialect: 'grpc' }
      : envoyGroup(service, own, upstreamsOf(node.metadata), furtherOf(node.metadata));
  const registration = readRegistration(node, service, group);
  const scope = scopeIn(node.metadata);
  return {
    id: node.id,
    service,
    kind,
    version: versionOf(node),
    group,
    ...(scope !== undefined && { scope }),
    labels: { app: splitServiceName(service).name, ...labelsIn(node.metadata), ...registration?.labels },
    ...(registration && { registration }),
    ...(registration &&
      group.dialect === 'envoy' &&
      group.further && {
        further: group.further.map((inbound) => besideOf(registration, inbound)),
      }),
  };
}

/** What a data plane registers, each under a name that no other has. */
export function besides({
  id,
  registration,
  further = [],
}: Pick<ClientNode, 'id' | 'registration' | 'further'>): readonly Beside[] {
  if (!registration) return [];
  const others = further.map((other) => ({ node: `${id}/${other.service}`, registration: other }));
  return [{ node: id, registration }, ...others];
}

export interface Beside {
  /** As in SidecarSession. */
  readonly node: string;
  readonly registration: Registration;
}

/** Under its own name, at its own port; what else was said is said of the first one. */
function besideOf(first: Registration, { service, port, appPort }: Inbound): Registration {
  const { weight: _, ...rest } = first;
  return { ...rest, service, port, appPort, labels: {}, protocol: '' };
}

function readRegistration(node: Node__Output, service: string, group: GroupKey): Registration | undefined {
  const inbound = group.dialect === 'envoy' ? group.inbound : undefined;
  if (!inbound || service === '') return undefined;
  const { region = '', zone = '', sub_zone: subZone = '' } = node.locality ?? {};
  try {
    return registrationOf(node.metadata, {
      service,
      port: inbound.port,
      appPort: inbound.appPort,
      locality: { region, zone, subZone },
    });
  } catch (thrown) {
    throw NODE_INVALID.from(thrown, `metadata.isthmus.register.${describeError(thrown)}`);
  }
}

function envoyGroup(
  service: string,
  own: ReadonlyMap<string, string>,
  upstreams: readonly Upstream[],
  further: readonly Inbound[],
): EnvoyGroup {
  const appPort = own.get('appPort');
  const accessLog = own.get('accessLog') ?? '';
  if (accessLog.length > MAX_NAME) throw NODE_INVALID('metadata.isthmus.accessLog is no name of a cluster');
  const outbound = listenAt('outbound', own.get('outbound') ?? DEFAULT_OUTBOUND);
  const inbound =
    appPort === undefined
      ? undefined
      : { ...listenAt('inbound', own.get('inbound') ?? DEFAULT_INBOUND), appPort: portOf(appPort), service };
  const all = [{ what: 'outbound', at: outbound }, ...upstreams.map((at) => ({ what: at.cluster, at }))];
  if (further.some((other) => other.service === service)) {
    throw NODE_INVALID(`metadata.isthmus.further names ${service} again`);
  }
  all.push(...further.map((at) => ({ what: `inbound of ${at.service}`, at })));
  refuseClashes(inbound ? [...all, { what: 'inbound', at: inbound }] : all);
  return {
    dialect: 'envoy',
    ...(accessLog !== '' && { accessLog }),
    outbound,
    inbound,
    upstreams,
    ...(further.length > 0 && { further }),
  };
}

/**
 * Envoy takes two listeners of one address and then serves by one of them, whichever. Both are refused here. One
 * address of a port and every address of it are different to the kernel, but not to who calls that address.
 */
function refuseClashes(listeners: readonly { readonly what: string; readonly at: ListenAt }[]): void {
  for (const [i, one] of listeners.entries()) {
    const other = listeners.slice(i + 1).find(({ at }) => clash(one.at, at));
    if (other) throw NODE_INVALID(`${one.what} and ${other.what} listen on the same port ${one.at.port}`);
  }
}

const isAny = ({ host }: ListenAt): boolean => host === '' || host === '0.0.0.0' || host === '::';

const clash = (a: ListenAt, b: ListenAt): boolean =>
  a.port !== 0 && a.port === b.port && (a.host === b.host || isAny(a) || isAny(b));

/** `metadata.isthmus.further`: `{service, appPort, inbound}` each, in the order of the services. */
function furtherOf(metadata: Struct__Output | undefined): readonly Inbound[] {
  const list = metadata?.fields?.isthmus?.structValue?.fields?.further?.listValue?.values ?? [];
  if (list.length > MAX_FURTHER) throw NODE_INVALID(`metadata.isthmus.further has more than ${MAX_FURTHER}`);
  const further = list.map((value, i): Inbound => {
    const fields = value.structValue?.fields ?? {};
    const named = fields.service?.stringValue ?? '';
    if (named === '') throw NODE_INVALID(`metadata.isthmus.further[${i}] names no service`);
    return {
      service: named.includes('.') ? named.toLowerCase() : serviceName(named),
      appPort: portOf(String(fields.appPort?.numberValue ?? fields.appPort?.stringValue ?? '')),
      ...listenAt(`further[${i}].inbound`, fields.inbound?.stringValue ?? ''),
    };
  });
  const twice = further.find(({ service }, i) => further.findIndex((other) => other.service === service) < i);
  if (twice) throw NODE_INVALID(`metadata.isthmus.further names ${twice.service} twice`);
  return further.sort((a, b) => (a.service < b.service ? -1 : 1));
}

/** `metadata.isthmus.upstreams`: `{service, listen}` each, in the order of the clusters. */
function upstreamsOf(metadata: Struct__Output | undefined): readonly Upstream[] {
  const list = metadata?.fields?.isthmus?.structValue?.fields?.upstreams?.listValue?.values ?? [];
  const upstreams = list.map((value, i): Upstream => {
    const what = `upstreams[${i}]`;
    const service = value.structValue?.fields?.service?.stringValue ?? '';
    if (service === '') throw NODE_INVALID(`metadata.isthmus.${what} names no service`);
    return {
      cluster: clusterOf(service),
      ...listenAt(`${what}.listen`, value.structValue?.fields?.listen?.stringValue ?? ''),
    };
  });
  const twice = upstreams.find(({ cluster }, i) => upstreams.findIndex((u) => u.cluster === cluster) < i);
  if (twice) throw NODE_INVALID(`metadata.isthmus.upstreams names ${twice.cluster} twice`);
  return upstreams.sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
}

/** `metadata.isthmus.scope`: `all` or `on-demand`; or `metadata.isthmus.calls`: a list of names. */
function scopeIn(metadata: Struct__Output | undefined): Scope | undefined {
  const fields = metadata?.fields?.isthmus?.structValue?.fields;
  const scope = fields?.scope?.stringValue ?? '';
  const calls = fields?.calls?.listValue?.values;
  if (scope !== '' && scope !== 'all' && scope !== 'on-demand') {
    throw NODE_INVALID(`metadata.isthmus.scope is "${scope.slice(0, 100)}", not all or on-demand`);
  }
  if (!calls) return scope === '' ? undefined : scope;
  if (scope !== '') throw NODE_INVALID('metadata.isthmus has both scope and calls');
  if (calls.length > MAX_CALLS) throw NODE_INVALID(`metadata.isthmus.calls has more than ${MAX_CALLS}`);
  return scopeOf(
    calls.map(({ stringValue: name = '' }, i) => {
      const problem = hostProblem(name);
      if (problem === undefined) return normalHost(name, DEFAULT_NAMESPACE);
      throw NODE_INVALID(`metadata.isthmus.calls[${i}] is "${name.slice(0, 100)}", not ${problem}`);
    }),
  );
}

/** Labels as Istio's own bootstraps have them. */
function labelsIn(metadata: Struct__Output | undefined): Labels {
  const labels = metadata?.fields?.LABELS?.structValue?.fields ?? {};
  const entries = Object.entries(labels).slice(0, MAX_LABELS);
  return Object.fromEntries(entries.map(([name, { stringValue }]) => [name, stringValue ?? '']));
}

function decodeNode(bytes: Uint8Array): Node__Output {
  try {
    return decode<Node__Output>('envoy.config.core.v3.Node', bytes);
  } catch (cause) {
    throw NODE_INVALID.from(cause, 'it cannot be decoded');
  }
}

/** The strings and numbers under `metadata.isthmus`. */
function isthmusMetadata(metadata: Struct__Output | undefined): Map<string, string> {
  const own = metadata?.fields?.isthmus?.structValue?.fields ?? {};
  return new Map(
    Object.entries(own).map(([key, value]) => [key, value.stringValue ?? String(value.numberValue ?? '')]),
  );
}

function listenAt(what: string, text: string) {
  const at = parseListenAddress(text);
  // xDS listeners take addresses, not names; an empty host is every address.
  if (!at || (at.host !== '' && isIP(at.host) === 0)) {
    throw NODE_INVALID(`metadata.isthmus.${what} is "${text}", not ADDRESS:PORT`);
  }
  return at;
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw NODE_INVALID(`metadata.isthmus.appPort is "${text}", not a port`);
  }
  return port;
}

/** Announced by every gRPC client, and by nobody else (gRFC A27): the server must spill over for it. */
const NO_OVERPROVISIONING = 'envoy.lb.does_not_support_overprovisioning';

/** The user agents are `gRPC C-core linux…`, `gRPC Node Pure JS`, `grpc-java` and the like. */
function kindOf({
  user_agent_name: name = '',
  client_features: features,
}: Node__Output): ProxyStatus['kind'] {
  if (name === 'isthmus-proxy') return 'isthmus';
  return /^grpc/i.test(name) || features?.includes(NO_OVERPROVISIONING) ? 'grpc' : 'envoy';
}

function versionOf(node: Node__Output): string {
  const build = node.user_agent_build_version?.version;
  if (build) return `${build.major_number ?? 0}.${build.minor_number ?? 0}.${build.patch ?? 0}`;
  return node.user_agent_version ?? '';
}
