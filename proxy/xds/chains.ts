// filter_chains and listener_filters → which chain takes which connections. One chain, or one for HTTP beside one
// for bytes, told apart by http_inspector; every other condition is refused by name.
import { typeUrl } from '../../proto/codec.ts';
import type { FilterChain__Output } from '../../proto/gen/types/envoy/config/listener/v3/FilterChain.ts';
import type { Listener__Output } from '../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { Spoken } from '../sniff/protocol.ts';
import type { SniffRules } from '../tables.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

const HTTP_INSPECTOR = 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector';
/** Only looks for TLS, which no chain here may ask for; what speaks it is no HTTP and is passed on as bytes. */
const TLS_INSPECTOR = 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector';
/** Envoy's default of listener_filters_timeout. */
const TIMEOUT_MS = 15_000;
const SPOKEN: readonly Spoken[] = ['http/1.0', 'http/1.1', 'h2c', 'other'];

export interface CompiledChain {
  readonly path: string;
  readonly chain: FilterChain__Output;
  /** What it takes; all four for the only chain. */
  readonly takes: ReadonlySet<Spoken>;
}

/** One chain or two. @throws FieldRefusal */
export function compileChains(message: Listener__Output): readonly CompiledChain[] {
  const inspects = inspectsHttp(message);
  const chains = (message.filter_chains ?? []).map((chain, i) => ({ path: `filter_chains[${i}]`, chain }));
  if (message.default_filter_chain) {
    chains.push({ path: 'default_filter_chain', chain: message.default_filter_chain });
  }
  if (chains.length === 0) throw new FieldRefusal('filter_chains', 'empty');
  if (chains.length > 2) throw new FieldRefusal('filter_chains', 'more than two are not supported');
  const asked = chains.map(({ path, chain }) => within(path, () => protocolsOf(chain, inspects)));
  if (asked.filter((protocols) => protocols === undefined).length > 1) {
    throw new FieldRefusal('filter_chains', 'two for the same connections');
  }
  const named = new Set(asked.flatMap((protocols) => protocols ?? []));
  return chains.map((one, i) => ({
    ...one,
    takes: new Set(asked[i] ?? SPOKEN.filter((spoken) => !named.has(spoken))),
  }));
}

/** What of its listener says how connections are told apart. */
export function sniffTimes(message: Listener__Output): Pick<SniffRules, 'timeoutMs' | 'goOn'> {
  return {
    timeoutMs: durationMs(message.listener_filters_timeout, TIMEOUT_MS),
    goOn: message.continue_on_listener_filters_timeout === true,
  };
}

function inspectsHttp(message: Listener__Output): boolean {
  let found = false;
  for (const [i, filter] of (message.listener_filters ?? []).entries()) {
    within(`listener_filters[${i}]`, () => {
      assertOnly(filter, ['name', 'typed_config', 'config_type']);
      const url = filter.typed_config?.type_url ?? '';
      if (url === typeUrl(HTTP_INSPECTOR)) found = true;
      else if (url !== typeUrl(TLS_INSPECTOR)) {
        throw new FieldRefusal('typed_config', `${url || 'missing'} is not supported`);
      }
    });
  }
  return found;
}

/** undefined: it takes whatever no other chain asks for. */
function protocolsOf(chain: FilterChain__Output, inspects: boolean): readonly Spoken[] | undefined {
  const match = chain.filter_chain_match;
  if (!match) return undefined;
  return within('filter_chain_match', () => {
    assertOnly(match, ['application_protocols']);
    const names = match.application_protocols ?? [];
    if (names.length === 0) return undefined;
    return names.map((name) => {
      const spoken = SPOKEN.find((known) => known === name && known !== 'other');
      if (!spoken) throw new FieldRefusal('application_protocols', `"${name}" is not supported`);
      if (!inspects) throw new FieldRefusal('application_protocols', 'nothing without http_inspector');
      return spoken;
    });
  });
}
