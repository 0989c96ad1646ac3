// The route configuration `outbound`: a virtual host per cluster, found by authority, and the virtual host
// `*`, which looks the header `service` (then `servicename`) up in constant time. Each service's part is
// encoded once and spliced, so a changed alias re-encodes that service only.
import { encode, packAny, typeUrl } from '../../proto/codec.ts';
import type { RetryPolicy } from '../../proto/gen/types/envoy/config/route/v3/RetryPolicy.ts';
import type { Route } from '../../proto/gen/types/envoy/config/route/v3/Route.ts';
import type { VirtualHost } from '../../proto/gen/types/envoy/config/route/v3/VirtualHost.ts';
import { encodedResource } from '../resource.ts';
import type { EncodedResource } from '../resource.ts';
import { field, messageField, textField } from '../wire/writer.ts';

export const OUTBOUND_ROUTES = 'outbound';

const ROUTE = 'envoy.config.route.v3.Route';
const VIRTUAL_HOST = 'envoy.config.route.v3.VirtualHost';
const EXTENSION = 'xds.core.v3.TypedExtensionConfig';
const HEADER_INPUT = 'envoy.type.matcher.v3.HttpRequestHeaderMatchInput';
const PREVIOUS_HOSTS = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';

/** The headers by which a caller may name a service, the first one that is known wins. */
const SERVICE_HEADERS = ['service', 'servicename'] as const;

/** The encoded part of one cluster. */
export interface RouteFragment {
  /** Field 2 of RouteConfiguration: the cluster's virtual host; empty when no authority names it. */
  readonly virtualHost: Buffer;
  /** Entries (field 1) of MatchMap.map, one per header value. */
  readonly headerEntries: Buffer;
}

/** @param domains authorities, with or without port. @param headers header values. Both unique over all clusters. */
export function buildRouteFragment(
  cluster: string,
  domains: readonly string[],
  headers: readonly string[],
): RouteFragment {
  const route = routeTo(cluster);
  const virtualHost: VirtualHost = { name: cluster, domains: [...domains], routes: [route] };
  // OnMatch.action (2) = TypedExtensionConfig{name, typed_config}.
  const action = field(2, encode(EXTENSION, { name: cluster, typed_config: packAny(ROUTE, route) }));
  return {
    virtualHost: domains.length === 0 ? Buffer.alloc(0) : field(2, encode(VIRTUAL_HOST, virtualHost)),
    headerEntries: Buffer.concat(
      headers.map((value) => messageField(1, [textField(1, value), field(2, action)])),
    ),
  };
}

/** @param fragments in a stable order (by cluster name), so that equal content gives equal bytes. */
export function buildOutboundRoutes(fragments: readonly RouteFragment[]): EncodedResource {
  const map = Buffer.concat(fragments.map((f) => f.headerEntries));
  const parts = [textField(1, OUTBOUND_ROUTES), ...fragments.map((f) => f.virtualHost)];
  if (map.length > 0) {
    // VirtualHost{name 1, domains 2, matcher 21}; 21 needs a two-byte tag, hence the library's encoder
    // for the outer message would copy the map twice: the tag is written by hand.
    const matcher = headerMatcher(SERVICE_HEADERS, map);
    parts.push(messageField(2, [textField(1, '*'), textField(2, '*'), wideField(21, matcher)]));
  }
  return encodedResource('rds', OUTBOUND_ROUTES, Buffer.concat(parts));
}

/** Matcher{matcher_tree 2 {input 1, exact_match_map 2}, on_no_match 3 {matcher 1}} for each header in turn. */
function headerMatcher(headers: readonly string[], map: Buffer): Buffer {
  const [header, ...rest] = headers;
  if (header === undefined) return Buffer.alloc(0);
  const input = encode(EXTENSION, {
    name: header,
    typed_config: packAny(HEADER_INPUT, { header_name: header }),
  });
  const tree = messageField(2, [field(1, input), field(2, map)]);
  if (rest.length === 0) return tree;
  return Buffer.concat([tree, messageField(3, [field(1, headerMatcher(rest, map))])]);
}

/** A length-delimited field whose number is 16…2047. */
function wideField(number: number, bytes: Buffer): Buffer {
  const narrow = field(1, bytes);
  const tag = (number << 3) | 2;
  return Buffer.concat([Buffer.from([(tag & 127) | 128, tag >> 7]), narrow.subarray(1)]);
}

function routeTo(cluster: string): Route {
  return {
    match: { prefix: '/' },
    // Timeout 0 is "none": the caller's own deadline holds; Envoy's default of 15 s would cut streams.
    route: { cluster, timeout: {}, retry_policy: retryPolicy(2) },
  };
}

/** Only failures after which the request cannot have been handled, each time on a host not tried yet. */
export function retryPolicy(retries: number): RetryPolicy {
  return {
    retry_on: 'connect-failure,refused-stream,reset-before-request',
    num_retries: { value: retries },
    retry_host_predicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        typed_config: { type_url: typeUrl(PREVIOUS_HOSTS), value: Buffer.alloc(0) },
      },
    ],
    host_selection_retry_max_attempts: 5,
  };
}
