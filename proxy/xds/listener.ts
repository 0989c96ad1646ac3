// Listener → address and what becomes of its connections: one filter chain with an HTTP connection manager
// or a TCP proxy is what can be served; anything else is refused by the name of the field.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { FilterChain__Output } from '../../proto/gen/types/envoy/config/listener/v3/FilterChain.ts';
import type { Listener__Output } from '../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { HttpConnectionManager__Output } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import { DEFAULT_HTTP } from '../http/rules.ts';
import type { HttpRules, RouteTable, SniffRules, TcpTable } from '../tables.ts';
import { compileAddress } from './address.ts';
import { assertPlain } from './cluster.ts';
import type { Demand } from '../filters/on-demand.ts';
import { compileChains, sniffTimes } from './chains.ts';
import type { CompiledChain } from './chains.ts';
import { compileManager } from './manager.ts';
import type { CompiledManager } from './manager.ts';
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
  /** Only some of its connections are HTTP. */
  readonly sniff?: SniffRules;
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
  'listener_filters',
  'listener_filters_timeout',
  'continue_on_listener_filters_timeout',
];

/** @throws FieldRefusal. @param demand how clusters on demand are asked for; default: there are none. */
export function compileListener(message: Listener__Output, demand?: Demand): CompiledListener {
  const name = message.name ?? '';
  if (name === '') throw new FieldRefusal('name', 'empty');
  const { address, port } = within('address', () => compileAddress(message.address));
  assertOnly(message, LISTENER);
  const direction = message.traffic_direction ?? 'UNSPECIFIED';
  const at = {
    name,
    address,
    port,
    direction: direction === 'UNSPECIFIED' ? '' : direction.toLowerCase(),
  };
  const bufferBytes = message.per_connection_buffer_limit_bytes?.value ?? DEFAULT_HTTP.bufferBytes;
  const chains = compileChains(message);
  const made = chains.map((one) => compileChain(one, bufferBytes, demand));
  const [first, second] = made;
  if (!first) throw new FieldRefusal('filter_chains', 'empty');
  if (!second) return all(chains[0]) ? { ...at, ...first } : { ...at, ...alone(message, chains[0], first) };
  return { ...at, ...beside(message, chains, made) };
}

type Made = Pick<CompiledTcpListener, 'tcp'> | CompiledManager;

function compileChain({ path, chain }: CompiledChain, bufferBytes: number, demand: Demand | undefined): Made {
  within(path, () =>
    assertOnly(chain, ['filters', 'transport_socket', 'name', 'metadata', 'filter_chain_match']),
  );
  const { url, value } = within(path, () => onlyFilter(chain));
  const inside = `${path}.filters[0].typed_config`;
  if (url === typeUrl(TCP_PROXY)) return { tcp: within(inside, () => compileTcpProxy(value)) };
  if (url === typeUrl(HCM)) {
    return within(inside, () => compileManager(managerOf(value), bufferBytes, demand));
  }
  throw new FieldRefusal(inside, `${url || 'missing'}, must be ${HCM} or ${TCP_PROXY}`);
}

const all = (chain: CompiledChain | undefined): boolean => chain?.takes.size === 4;

/** HTTP for some connections, and nothing for the others. */
function alone(
  message: Listener__Output,
  chain: CompiledChain | undefined,
  made: Made,
): Made & { sniff?: SniffRules } {
  if ('tcp' in made)
    throw new FieldRefusal('filter_chains', 'one for HTTP alone must have a connection manager');
  const http = chain?.takes ?? new Set();
  return { ...made, sniff: { http, others: new Set(), tcp: undefined, ...sniffTimes(message) } };
}

/** One chain for HTTP, one for bytes. */
function beside(
  message: Listener__Output,
  chains: readonly CompiledChain[],
  made: readonly Made[],
): CompiledManager & { sniff: SniffRules } {
  let http: (CompiledManager & { readonly takes: CompiledChain['takes'] }) | undefined;
  let bytes: { readonly tcp: TcpTable; readonly takes: CompiledChain['takes'] } | undefined;
  for (const [i, one] of made.entries()) {
    const takes = chains[i]?.takes ?? new Set();
    if ('tcp' in one) bytes = { tcp: one.tcp, takes };
    else http = { ...one, takes };
  }
  if (!http || !bytes) throw new FieldRefusal('filter_chains', 'two must be one for HTTP and one for TCP');
  const { takes, ...manager } = http;
  return { ...manager, sniff: { http: takes, others: bytes.takes, tcp: bytes.tcp, ...sniffTimes(message) } };
}

function onlyFilter(chain: FilterChain__Output): { readonly url: string; readonly value: Buffer } {
  if (chain.transport_socket) within('transport_socket', () => assertPlain(chain.transport_socket));
  const filters = chain.filters ?? [];
  const [filter] = filters;
  if (!filter || filters.length > 1) {
    throw new FieldRefusal('filters', `${filters.length} filters, must be one`);
  }
  within('filters[0]', () => assertOnly(filter, ['name', 'config_type', 'typed_config']));
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
