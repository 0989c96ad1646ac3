// The route configuration `outbound`: a virtual host per cluster, found by authority, and the virtual host
// `*`, which looks the header `service` (then `servicename`) up in constant time. Each service's part is
// encoded once and spliced, so a changed alias re-encodes that service only.
import { contentHash } from '../../lib/hash.ts';
import type { TrafficRules } from '../../model/traffic.ts';
import type { Chunks } from '../../lib/sorted-chunks.ts';
import { pinnedName } from '../../model/names.ts';
import { encode, packAny, typeUrl } from '../../proto/codec.ts';
import type { Route } from '../../proto/gen/types/envoy/config/route/v3/Route.ts';
import { composedResource } from '../resource.ts';
import type { EncodedResource } from '../resource.ts';
import { SetVersion } from '../set-version.ts';
import { assertValid } from '../validate/index.ts';
import { backwards } from '../wire/backward-writer.ts';
import type { BackwardWriter } from '../wire/backward-writer.ts';
import { bytesOf, fieldOf, pieceOf, rope } from '../wire/rope.ts';
import type { Piece } from '../wire/rope.ts';
import { textField } from '../wire/writer.ts';
import type { ClusterAuthorities } from './authorities.ts';
import { routeAction } from './policy.ts';

export const OUTBOUND_ROUTES = 'outbound';

const ROUTE = 'envoy.config.route.v3.Route';
const ACTION = 'envoy.config.route.v3.RouteAction';
const EXTENSION = 'xds.core.v3.TypedExtensionConfig';
const HEADER_INPUT = 'envoy.type.matcher.v3.HttpRequestHeaderMatchInput';

/** The headers by which a caller may name a service, the first one that is known wins. */
const SERVICE_HEADERS = ['service', 'servicename'] as const;

/** The encoded part of one service. */
export interface RouteFragment {
  /**
   * First fields 2 of RouteConfiguration: a virtual host for each cluster that an authority names. Then entries
   * (field 1) of MatchMap.map, one per header value.
   */
  readonly bytes: Buffer;
  /** Where the entries begin. */
  readonly entriesAt: number;
}

/**
 * @param clusters of one service. Domains and header values are unique over all services.
 * @param service its canonical name, which each request carries.
 */
export function buildRouteFragment(
  clusters: readonly ClusterAuthorities[],
  service: string,
  traffic: TrafficRules | undefined,
): RouteFragment {
  const to = backwards();
  const leads: Leads = { service, template: templateOf(traffic), mirror: traffic?.mirror };
  for (const { cluster, headers } of clusters.toReversed()) {
    for (const header of headers.toReversed()) writeHeaderEntry(to, leads, cluster, header);
  }
  const entries = to.length;
  for (const { cluster, domains } of clusters.toReversed()) {
    if (domains.length > 0) writeVirtualHost(to, leads, cluster, domains);
  }
  const bytes = to.copy();
  return { bytes, entriesAt: bytes.length - entries };
}

/** VirtualHost: name 1, domains 2, routes 3. */
function writeVirtualHost(
  to: BackwardWriter,
  leads: Leads,
  cluster: string,
  domains: readonly string[],
): void {
  const end = to.length;
  writeRoute(to, leads, cluster);
  to.close(3, end);
  for (const domain of domains.toReversed()) to.text(2, domain);
  to.text(1, cluster);
  to.close(2, end);
}

/** MatchMap.map's entry: key 1, value 2 (OnMatch { action 2: TypedExtensionConfig { name 1, typed_config 2 } }). */
function writeHeaderEntry(to: BackwardWriter, leads: Leads, cluster: string, header: string): void {
  const end = to.length;
  writeRoute(to, leads, cluster);
  to.close(2, end);
  to.text(1, typeUrl(ROUTE));
  to.close(2, end);
  to.text(1, cluster);
  to.close(2, end);
  to.close(2, end);
  to.text(1, header);
  to.close(1, end);
}

/** What all routes of a service have in common. */
interface Leads {
  readonly service: string;
  readonly template: RouteTemplate;
  readonly mirror: TrafficRules['mirror'];
}

/**
 * Route: match 1, route 2 { cluster 1 }, request_headers_to_add 9 { header 1 { key 1, value 2 }, append_action 3 }.
 * Whatever the caller said it was asking for, the request carries the name of the service it is sent to.
 */
function writeRoute(to: BackwardWriter, { service, template, mirror }: Leads, cluster: string): void {
  const end = to.length;
  to.uint(3, OVERWRITE);
  const option = to.length;
  to.text(2, service);
  to.text(1, SERVICE_HEADER);
  to.close(1, option);
  to.close(9, end);
  const action = to.length;
  // Who names a source itself gets that source, and nobody a copy.
  if (mirror && !cluster.includes('@')) to.raw(mirrorAction(cluster, mirror));
  to.raw(template.action);
  to.text(1, cluster);
  to.close(2, action);
  to.raw(template.match);
}

/** The last field of RouteAction that is written here. */
function mirrorAction(cluster: string, { source, percent }: NonNullable<TrafficRules['mirror']>): Buffer {
  const policy = {
    cluster: pinnedName(cluster, source),
    runtime_fraction: {
      default_value: { numerator: Math.round(percent * 10_000), denominator: 'MILLION' as const },
    },
    // The app is to see what the original sees.
    disable_shadow_host_suffix_append: true,
  };
  const action = { request_mirror_policies: [policy] };
  assertValid(ROUTE, { ...ANYTHING, route: { ...action, cluster } }, cluster);
  return encode(ACTION, action);
}

interface RouteTemplate {
  /** Field 1 of Route. */
  readonly match: Buffer;
  /** RouteAction but for its cluster, which is its first field. */
  readonly action: Buffer;
}

const ANYTHING: Route = { match: { prefix: '/' } };
/** Names the service in every request; compared by its sidecar, which takes it out again. */
export const SERVICE_HEADER = 'x-isthmus-service';
/** HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD. */
const OVERWRITE = 2;

let plain: RouteTemplate | undefined;
const templates = new WeakMap<TrafficRules, RouteTemplate>();

/** The same for all services with the same rules, which share one object. */
function templateOf(traffic: TrafficRules | undefined): RouteTemplate {
  const known = traffic ? templates.get(traffic) : plain;
  if (known) return known;
  const route = routeAction(traffic);
  assertValid(ROUTE, { ...ANYTHING, route: { ...route, cluster: 'any' } }, 'of these rules');
  const template = { match: encode(ROUTE, ANYTHING), action: encode(ACTION, route) };
  if (traffic) templates.set(traffic, template);
  else plain = template;
  return template;
}

/** Bytes of all parts together, before and after `entriesAt`. */
export interface RouteSizes {
  readonly hosts: number;
  readonly entries: number;
}

/**
 * @param parts in the order of the services' names, so that equal content gives equal bytes.
 * @param version of all parts.
 */
export function buildOutboundRoutes(
  parts: Chunks<RouteFragment>,
  sizes: RouteSizes,
  version: SetVersion,
): EncodedResource {
  const content = assemble(parts, sizes);
  return composedResource('rds', OUTBOUND_ROUTES, version.with(frameVersion()), content);
}

/** RouteConfiguration: name 1, virtual_hosts 2; the last one is `*`, where there is a header to look for. */
function assemble(parts: Chunks<RouteFragment>, sizes: RouteSizes): Piece {
  const hosts = joinedParts(parts, sizes.hosts, 'hosts');
  const map = joinedParts(parts, sizes.entries, 'entries');
  const name = pieceOf(textField(1, OUTBOUND_ROUTES));
  if (map.length === 0) return rope([name, hosts]);
  const any = [pieceOf(textField(1, '*')), pieceOf(textField(2, '*'))];
  // VirtualHost{name 1, domains 2, matcher 21}
  return rope([name, hosts, fieldOf(2, rope([...any, fieldOf(21, headerMatcher(SERVICE_HEADERS, map))]))]);
}

interface Joined {
  readonly hosts: Buffer;
  readonly entries: Buffer;
}

/** Of chunks that were sent before: from one sending to the next most of them are the same. */
const joined = new WeakMap<readonly RouteFragment[], Joined>();

function joinedOf(chunk: readonly RouteFragment[]): Joined {
  const known = joined.get(chunk);
  if (known) return known;
  const made = {
    hosts: Buffer.concat(chunk.map(({ bytes, entriesAt }) => bytes.subarray(0, entriesAt))),
    entries: Buffer.concat(chunk.map(({ bytes, entriesAt }) => bytes.subarray(entriesAt))),
  };
  joined.set(chunk, made);
  return made;
}

function joinedParts(parts: Chunks<RouteFragment>, length: number, which: keyof Joined): Piece {
  return {
    length,
    put(into, at) {
      let end = at;
      for (const chunk of parts) {
        const bytes = joinedOf(chunk)[which];
        into.set(bytes, end);
        end += bytes.length;
      }
    },
  };
}

/** Matcher{matcher_tree 2 {input 1, exact_match_map 2}, on_no_match 3 {matcher 1}} for each header in turn. */
function headerMatcher(headers: readonly string[], map: Piece): Piece {
  const [header, ...rest] = headers;
  if (header === undefined) return rope([]);
  const input = encode(EXTENSION, {
    name: header,
    typed_config: packAny(HEADER_INPUT, { header_name: header }),
  });
  const tree = fieldOf(2, rope([fieldOf(1, pieceOf(input)), fieldOf(2, map)]));
  if (rest.length === 0) return tree;
  return rope([tree, fieldOf(3, fieldOf(1, headerMatcher(rest, map)))]);
}

let frame: SetVersion | undefined;

/** What is around the parts belongs to the version, too: another release may put something else there. */
function frameVersion(): SetVersion {
  if (frame) return frame;
  frame = new SetVersion();
  const one = [[{ bytes: Buffer.from([0, 0]), entriesAt: 1 }]];
  frame.add({ version: contentHash(bytesOf(assemble(one, { hosts: 1, entries: 1 }))) });
  return frame;
}
