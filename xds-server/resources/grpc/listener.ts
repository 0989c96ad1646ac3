// The Listener of a gRPC target: an API listener (no address), whose only filter is the router. It is named as
// the client asked, to the letter: any other name is ignored (gRFC A27).
import { packAny } from '../../../proto/codec.ts';
import type { Listener } from '../../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { HttpConnectionManager } from '../../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import { encodedResource } from '../../resource.ts';
import type { EncodedResource } from '../../resource.ts';
import { MESSAGE_NAME } from '../../types.ts';
import { encodeValid } from '../../validate/index.ts';
import { ADS_SOURCE } from '../clusters.ts';

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';

/** @param cluster whose route configuration it names. */
export function buildGrpcListener(name: string, cluster: string): EncodedResource {
  const manager: HttpConnectionManager = {
    stat_prefix: cluster,
    rds: { config_source: ADS_SOURCE, route_config_name: cluster },
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: packAny(ROUTER, {}) }],
  };
  const message: Listener = { name, api_listener: { api_listener: packAny(HCM, manager) } };
  return encodedResource('lds', name, encodeValid(MESSAGE_NAME.lds, message, name), {
    dependents: [cluster],
  });
}
