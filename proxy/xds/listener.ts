// Listener → address and what becomes of its connections: one filter chain with an HTTP connection manager
// or a TCP proxy is what can be served; anything else is refused by the name of the field.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { FilterChain__Output } from '../../proto/gen/types/envoy/config/listener/v3/FilterChain.ts';
import type { Listener__Output } from '../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { HttpConnectionManager__Output } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import { DEFAULT_HTTP } from '../http/rules.ts';
import type { HttpRules, RouteTable, TcpTable } from '../tables.ts';
import { compileAddress } from './address.ts';
import { assertPlain } from './cluster.ts';
import type { Demand } from '../filters/on-demand.ts';
import { compileManager } from './manager.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { TCP_PROXY, compileTcpProxy } from './tcp-proxy.ts';

interface CompiledAddress {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly direction: string;
}

export interface CompiledHttpListener extends CompiledAddress {
  /** Either the name of the RouteConfiguration to ask for, or the table itself. */
  readonly routes: { readonly rds: string } | { readonly inline: RouteTable };
  readonly http: HttpRules;
}

export interface CompiledTcpListener extends CompiledAddress {
  readonly tcp: TcpTable;
}

export type CompiledListener = CompiledHttpListener | CompiledTcpListener;

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
/** How many sockets and threads listen is no question here; statistics go by the listener's name. */
const LISTENER = [
  'name',
  'address',
  'filter_chains',
  'default_filter_chain',
  'traffic_direction',
  'per_connection_buffer_limit_bytes',
  'metadata',
  'stat_prefix',
  'enable_reuse_port',
];

/** @throws FieldRefusal */
/** @param demand how clusters on demand are asked for; default: there are none. */
export function compileListener(message: Listener__Output, demand?: Demand): CompiledListener {
  const name = message.name ?? '';
  if (name === '') throw new FieldRefusal('name', 'empty');
  const { address, port } = within('address', () => compileAddress(message.address));
  assertOnly(message, LISTENER);
  const { path, chain } = onlyChain(message);
  within(path, () => assertOnly(chain, ['filters', 'transport_socket', 'name', 'metadata']));
  const direction = message.traffic_direction ?? 'UNSPECIFIED';
  const at = {
    name,
    address,
    port,
    direction: direction === 'UNSPECIFIED' ? '' : direction.toLowerCase(),
  };
  const { url, value } = within(path, () => onlyFilter(chain));
  const inside = `${path}.filters[0].typed_config`;
  if (url === typeUrl(TCP_PROXY)) return { ...at, tcp: within(inside, () => compileTcpProxy(value)) };
  const bufferBytes = message.per_connection_buffer_limit_bytes?.value ?? DEFAULT_HTTP.bufferBytes;
  if (url === typeUrl(HCM)) {
    return { ...at, ...within(inside, () => compileManager(managerOf(value), bufferBytes, demand)) };
  }
  throw new FieldRefusal(inside, `${url || 'missing'}, must be ${HCM} or ${TCP_PROXY}`);
}

function onlyChain(message: Listener__Output): {
  readonly path: string;
  readonly chain: FilterChain__Output;
} {
  const chains = message.filter_chains ?? [];
  const [first] = chains;
  if (chains.length > 1 || (first && message.default_filter_chain)) {
    throw new FieldRefusal('filter_chains', 'more than one is not supported');
  }
  if (first) return { path: 'filter_chains[0]', chain: first };
  if (message.default_filter_chain)
    return { path: 'default_filter_chain', chain: message.default_filter_chain };
  throw new FieldRefusal('filter_chains', 'empty');
}

function onlyFilter(chain: FilterChain__Output): { readonly url: string; readonly value: Buffer } {
  if (chain.transport_socket) within('transport_socket', () => assertPlain(chain.transport_socket));
  const filters = chain.filters ?? [];
  const [filter] = filters;
  if (!filter || filters.length > 1) {
    throw new FieldRefusal('filters', `${filters.length} filters, must be one`);
  }
  return {
    url: filter.typed_config?.type_url ?? '',
    value: filter.typed_config?.value ?? Buffer.alloc(0),
  };
}

function managerOf(bytes: Buffer): HttpConnectionManager__Output {
  try {
    return decode<HttpConnectionManager__Output>(HCM, bytes);
  } catch {
    throw new FieldRefusal('value', 'cannot be decoded');
  }
}
