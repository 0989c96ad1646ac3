// RouteAction.hash_policy → the hash of a request, equal to Envoy's: XXH64 of each value, the earlier hash
// turned left by one bit before the next is added by xor. A policy that finds nothing adds nothing; a
// terminal one ends the list once there is a hash.
import type { _envoy_config_route_v3_RouteAction_HashPolicy__Output as HashPolicy } from '../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import type { PickKey } from '../balancers/types.ts';
import { HASH, xxHash64 } from '../balancers/xxhash64.ts';
import type { RequestKey } from '../keys.ts';
import type { RequestHash } from '../route.ts';
import { headerReader } from './match.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';

/** '' when the request has none. */
type Read = (request: RequestKey, client: string) => string;

interface Step {
  readonly read: Read;
  readonly terminal: boolean;
}

/** @throws FieldRefusal */
export function compileHash(policies: readonly HashPolicy[]): RequestHash | undefined {
  const steps = policies.flatMap((policy, i) => within(`hash_policy[${i}]`, () => compileStep(policy)));
  if (steps.length === 0) return undefined;
  return (request, client, key) => {
    for (const { read, terminal } of steps) {
      const value = read(request, client);
      if (value !== '') addTo(key, value);
      if (terminal && key.hashed) return;
    }
  };
}

function addTo(key: PickKey, value: string): void {
  xxHash64(value);
  if (key.hashed) {
    const { hi, lo } = key;
    key.hi = (((hi << 1) | (lo >>> 31)) ^ HASH.hi) >>> 0;
    key.lo = (((lo << 1) | (hi >>> 31)) ^ HASH.lo) >>> 0;
    return;
  }
  key.hashed = true;
  key.hi = HASH.hi;
  key.lo = HASH.lo;
}

/** No step for connection properties of which none is asked for. */
function compileStep(policy: HashPolicy): Step[] {
  const read = readerOf(policy);
  return read ? [{ read, terminal: policy.terminal === true }] : [];
}

function readerOf(policy: HashPolicy): Read | undefined {
  switch (policy.policy_specifier) {
    case 'header': {
      const header = policy.header ?? {};
      return within('header', () => {
        assertOnly(header, ['header_name']);
        return headerReader((header.header_name ?? '').toLowerCase());
      });
    }
    case 'cookie': {
      const cookie = policy.cookie ?? {};
      return within('cookie', () => {
        // A cookie that the proxy would have to make and send.
        assertOnly(cookie, ['name', 'path']);
        const name = cookie.name ?? '';
        if (name === '') throw new FieldRefusal('name', 'empty');
        return (request) => cookieValue(request.header('cookie'), name);
      });
    }
    case 'connection_properties':
      return policy.connection_properties?.source_ip ? (_request, client) => client : undefined;
    case 'query_parameter': {
      const name = policy.query_parameter?.name ?? '';
      if (name === '') throw new FieldRefusal('query_parameter.name', 'empty');
      return (request) => queryValue(request.path, name);
    }
    case 'filter_state':
    case undefined:
  }
  throw new FieldRefusal(policy.policy_specifier ?? 'policy_specifier', 'not supported');
}

/** The first cookie of that name, quotes around it taken off. */
function cookieValue(cookies: string, name: string): string {
  if (cookies === '') return '';
  for (const part of cookies.split(';')) {
    const equals = part.indexOf('=');
    if (equals < 0 || part.slice(0, equals).trim() !== name) continue;
    const value = part.slice(equals + 1).trim();
    return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  }
  return '';
}

/** The first value of that name, as it stands in the path. */
function queryValue(path: string, name: string): string {
  const start = path.indexOf('?');
  if (start < 0) return '';
  const end = path.indexOf('#', start);
  for (const part of path.slice(start + 1, end < 0 ? undefined : end).split('&')) {
    const equals = part.indexOf('=');
    if (equals >= 0 && part.slice(0, equals) === name) return part.slice(equals + 1);
  }
  return '';
}
