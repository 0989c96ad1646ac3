import { describe, expect, test } from 'vitest';
import { decode, encode } from '../../../../proto/codec.ts';
import type { RouteAction } from '../../../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import type { RouteAction__Output } from '../../../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import { PickKey } from '../../../../proxy/balancers/types.ts';
import { HASH, xxHash64 } from '../../../../proxy/balancers/xxhash64.ts';
import { compileHash } from '../../../../proxy/xds/hash.ts';
import type { RequestKey } from '../../../../proxy/keys.ts';
import { request } from './fixture.ts';

const ACTION = 'envoy.config.route.v3.RouteAction';
type Policies = NonNullable<RouteAction['hash_policy']>;

const compile = (policies: Policies) =>
  compileHash(
    decode<RouteAction__Output>(ACTION, encode(ACTION, { hash_policy: policies })).hash_policy ?? [],
  );

function hashOf(policies: Policies, key: RequestKey): bigint | undefined {
  const out = new PickKey();
  compile(policies)?.(key, '192.0.2.7', out);
  return out.hashed ? (BigInt(out.hi) << 32n) | BigInt(out.lo) : undefined;
}

function xx(text: string): bigint {
  xxHash64(text);
  return (BigInt(HASH.hi) << 32n) | BigInt(HASH.lo);
}

const header = (name: string): Policies[number] => ({ header: { header_name: name } });
const cookie = (name: string): Policies[number] => ({ cookie: { name } });
const query = (name: string): Policies[number] => ({ query_parameter: { name } });

test.each<[string, Policies[number], RequestKey, string | undefined]>([
  ['a header', header('X-User'), request('a', '/', { 'x-user': 'ann' }), 'ann'],
  ['a missing header', header('x-user'), request('a'), undefined],
  ['the authority', header(':authority'), request('a.b:80'), 'a.b:80'],
  ['the path', header(':path'), request('a', '/x?y'), '/x?y'],
  ['a cookie', cookie('id'), request('a', '/', { cookie: 'xid=1; id=2; id=3' }), '2'],
  ['a quoted cookie', cookie('id'), request('a', '/', { cookie: 'id="2"' }), '2'],
  ['a cookie that is not there', cookie('id'), request('a', '/', { cookie: 'idd=1;i=2;id' }), undefined],
  ['the address', { connection_properties: { source_ip: true } }, request('a'), '192.0.2.7'],
  ['nothing of the connection', { connection_properties: {} }, request('a'), undefined],
  ['a parameter', query('q'), request('a', '/x?p=1&q=2&q=3#q=4'), '2'],
  ['a parameter that is not there', query('q'), request('a', '/q=1?qq=1#?q=2'), undefined],
])('hashes %s', (_, policy, key, text) => {
  expect(hashOf([policy], key)).toBe(text === undefined ? undefined : xx(text));
});

describe('several policies', () => {
  const key = request('a', '/', { a: '1', b: '2' });
  const turned = BigInt.asUintN(64, (xx('1') << 1n) | (xx('1') >> 63n));

  test('are mixed in their order', () => {
    expect(hashOf([header('a'), header('none'), header('b')], key)).toBe(turned ^ xx('2'));
  });

  test('end at a terminal one once there is a hash', () => {
    expect(hashOf([{ ...header('a'), terminal: true }, header('b')], key)).toBe(xx('1'));
    expect(hashOf([{ ...header('none'), terminal: true }, header('b')], key)).toBe(xx('2'));
  });

  test('none is no hash', () => {
    expect(compile([])).toBeUndefined();
  });
});

test.each<[string, Policies[number]]>([
  ['hash_policy[0].header.regex_rewrite: not supported', { header: { header_name: 'a', regex_rewrite: {} } }],
  ['hash_policy[0].header.name: empty', { header: {} }],
  ['hash_policy[0].cookie.ttl: not supported', { cookie: { name: 'a', ttl: { seconds: 0 } } }],
  ['hash_policy[0].cookie.name: empty', { cookie: {} }],
  ['hash_policy[0].query_parameter.name: empty', { query_parameter: {} }],
  ['hash_policy[0].filter_state: not supported', { filter_state: { key: 'a' } }],
  ['hash_policy[0].policy_specifier: not supported', {}],
])('refuses by field: %s', (text, policy) => {
  expect(() => compile([policy])).toThrow(text);
});
