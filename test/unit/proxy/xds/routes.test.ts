import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encode, packAny } from '../../../../proto/codec.ts';
import type { HeaderMatcher } from '../../../../proto/gen/types/envoy/config/route/v3/HeaderMatcher.ts';
import type { Route } from '../../../../proto/gen/types/envoy/config/route/v3/Route.ts';
import type { RouteConfiguration } from '../../../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import type { VirtualHost } from '../../../../proto/gen/types/envoy/config/route/v3/VirtualHost.ts';
import { compileRoutes } from '../../../../proxy/xds/routes.ts';
import { MESSAGE, headerMatcher, outboundRoutes, request, toCluster, virtualHost } from './fixture.ts';

const compile = (m: RouteConfiguration) => compileRoutes(decode(MESSAGE.rds, encode(MESSAGE.rds, m)));
const ofHost = (host: Partial<VirtualHost>) => compile({ virtual_hosts: [virtualHost('a', ['*'], host)] });
const ofRoute = (route: Route) => ofHost({ routes: [route] });

describe('virtual hosts', () => {
  const table = compile({
    virtual_hosts: [
      virtualHost('exact', ['Orders', 'orders:9090']),
      virtualHost('suffix', ['*.shop.local']),
      virtualHost('long-suffix', ['*.eu.shop.local']),
      virtualHost('prefix', ['shop.*']),
      virtualHost('any', ['*']),
    ],
  });
  test.each([
    ['orders', 'exact'],
    ['orders:9090', 'exact'],
    ['orders:80', 'any'],
    ['a.shop.local', 'suffix'],
    ['a.eu.shop.local', 'long-suffix'],
    ['.shop.local', 'any'],
    ['shop.com', 'prefix'],
    ['shop.', 'any'],
    ['shop.shop.local', 'suffix'],
    ['', 'any'],
  ])('%j goes to %s', (authority, cluster) => {
    expect(table.lookup(request(authority))?.cluster).toBe(cluster);
  });

  test('without `*` an unknown authority has no route', () => {
    expect(compile({ virtual_hosts: [virtualHost('a', ['a'])] }).lookup(request('b'))).toBeUndefined();
  });

  test('the one that is found decides alone', () => {
    const routes = [{ ...toCluster('a'), match: { path: '/only' } }];
    const two = compile({ virtual_hosts: [virtualHost('a', ['a'], { routes }), virtualHost('any', ['*'])] });
    expect(two.lookup(request('a', '/other'))).toBeUndefined();
  });

  test.each([
    ['a:80', 'a'],
    ['[::1]:80', '[::1]'],
    ['[::1]', '[::1]'],
    ['::1', '::1'],
    ['a:b', 'a:b'],
    ['a', 'a'],
  ])('ignore_port_in_host_matching reads %s as %s', (authority, domain) => {
    const ignoring = compile({
      virtual_hosts: [virtualHost('hit', [domain])],
      ignore_port_in_host_matching: true,
    });
    expect(ignoring.lookup(request(authority))?.cluster).toBe('hit');
  });

  test('property: the table agrees with a naive search', () => {
    const label = fc.constantFrom('a', 'b', 'ab', 'a.b', 'b.a', '.a', 'a:1');
    const domain = fc.oneof(
      label,
      label.map((l) => `*${l}`),
      label.map((l) => `${l}*`),
      fc.constant('*'),
    );
    const authority = fc.array(fc.constantFrom('a', 'b', '.', ':1'), { maxLength: 5 }).map((p) => p.join(''));
    fc.assert(
      fc.property(fc.uniqueArray(domain, { maxLength: 8 }), authority, (domains, host) => {
        const compiled = compile({ virtual_hosts: domains.map((d) => virtualHost(`to ${d}`, [d])) });
        const found = compiled.lookup(request(host))?.cluster;
        const expected = naive(domains, host);
        expect(found).toBe(expected === undefined ? undefined : `to ${expected}`);
      }),
      { numRuns: 500 },
    );
  });
});

/** The rule as the API's text has it: by class, and inside a class the longest. */
function naive(domains: readonly string[], host: string): string | undefined {
  const longest = (of: string[]) => of.sort((a, b) => b.length - a.length)[0];
  const isSuffix = (d: string) => d.startsWith('*') && d !== '*';
  const isPrefix = (d: string) => d.endsWith('*') && d !== '*';
  return (
    domains.find((d) => d === host) ??
    longest(domains.filter((d) => isSuffix(d) && host.length >= d.length && host.endsWith(d.slice(1)))) ??
    longest(
      domains.filter((d) => isPrefix(d) && host.length >= d.length && host.startsWith(d.slice(0, -1))),
    ) ??
    domains.find((d) => d === '*')
  );
}

describe('routes', () => {
  const matches = (match: Route['match'], path: string, headers: Record<string, string> = {}) =>
    ofRoute({ ...toCluster('a'), match: match ?? null }).lookup(request('x', path, headers)) !== undefined;

  test('come in order', () => {
    const table = ofHost({
      routes: [
        { ...toCluster('first'), match: { prefix: '/v1/' } },
        { ...toCluster('second'), match: { path: '/v2' } },
        { ...toCluster('last'), match: { prefix: '/v' } },
      ],
    });
    const at = (path: string) => table.lookup(request('x', path))?.cluster;
    expect([at('/v1/a'), at('/v2?q=/v1/'), at('/v2/'), at('/x')]).toEqual([
      'first',
      'second',
      'last',
      undefined,
    ]);
  });

  test('match paths', () => {
    expect(matches({ path: '/A', case_sensitive: { value: false } }, '/a')).toBe(true);
    expect(matches({ path: '/A' }, '/a')).toBe(false);
    expect(matches({ path_separated_prefix: '/a' }, '/a/b')).toBe(true);
    expect(matches({ path_separated_prefix: '/a' }, '/a?b')).toBe(true);
    expect(matches({ path_separated_prefix: '/a' }, '/ab')).toBe(false);
    expect(matches({ prefix: '/a' }, '/ab')).toBe(true);
  });

  test.each<[HeaderMatcher, string, boolean]>([
    [{ exact_match: 'v' }, 'v', true],
    [{ exact_match: 'v' }, 'V', false],
    [{ string_match: { exact: 'V', ignore_case: true } }, 'v', true],
    [{ string_match: { prefix: 'a' } }, 'ab', true],
    [{ string_match: { suffix: 'b' } }, 'ab', true],
    [{ string_match: { contains: 'b' } }, 'abc', true],
    [{ string_match: { contains: 'x' } }, 'abc', false],
    [{ present_match: true }, 'v', true],
    [{ present_match: true }, '', false],
    [{ present_match: false }, '', true],
    [{ present_match: true, invert_match: true }, '', true],
    [{}, 'v', true],
    [{ exact_match: 'v', invert_match: true }, 'w', true],
    [{ exact_match: 'v', invert_match: true }, '', false],
    [{ exact_match: 'v', invert_match: true, treat_missing_header_as_empty: true }, '', true],
  ])('header %j on %j: %s', (matcher, value, expected) => {
    const headers = value === '' ? {} : { 'x-h': value };
    expect(matches({ prefix: '/', headers: [{ name: 'X-H', ...matcher }] }, '/', headers)).toBe(expected);
  });

  test('have the default timeout, and retries only when asked for', () => {
    const route = (more: Route['route']) =>
      ofRoute({ match: { prefix: '' }, route: { cluster: 'c', ...more } });
    const at = (more: Route['route']) => route(more).lookup(request('x'));
    expect(at({})).toEqual({ cluster: 'c', timeoutMs: 15_000 });
    expect(at({ timeout: { nanos: 250_000_000 } })?.timeoutMs).toBe(250);
    expect(at({ timeout: { seconds: 0 } })?.timeoutMs).toBe(0);
    expect(at({ retry_policy: { retry_on: '5xx' } })?.retry?.retries).toBe(1);
    expect(
      at({ retry_policy: { retry_on: 'retriable-4xx', num_retries: { value: 3 } } })?.retry?.retries,
    ).toBe(3);
    expect(
      at({ retry_policy: { retry_on: 'connect-failure', num_retries: { value: 0 } } })?.retry?.retries,
    ).toBe(0);
  });

  test("take the virtual host's retry policy when they have none", () => {
    const routes = [{ match: { prefix: '/' }, route: { cluster: 'c' } }];
    const table = ofHost({
      routes,
      retry_policy: { retry_on: 'connect-failure', num_retries: { value: 4 } },
    });
    expect(table.lookup(request('x'))?.retry?.retries).toBe(4);
  });
});

describe('the look-up by header', () => {
  const table = compile(
    outboundRoutes({ 'orders.default': ['orders', 'ORDERS'], 'users.default': ['users'] }),
  );
  test.each<[string, Record<string, string>, string | undefined]>([
    ['orders', {}, 'orders.default'],
    ['x', { service: 'ORDERS' }, 'orders.default'],
    ['x', { servicename: 'users' }, 'users.default'],
    ['x', { service: 'users', servicename: 'orders' }, 'users.default'],
    ['x', { service: 'nobody', servicename: 'orders' }, 'orders.default'],
    ['x', { service: 'nobody' }, undefined],
    ['x', { service: '__proto__' }, undefined],
    ['x', {}, undefined],
  ])('authority %s with %j goes to %s', (authority, headers, cluster) => {
    expect(table.lookup(request(authority, '/p', headers))?.cluster).toBe(cluster);
  });

  test('an action whose own match fails is final', () => {
    const matcher = headerMatcher('service', {}, headerMatcher('servicename', { a: 'wrong' }));
    const route = { ...toCluster('a'), match: { path: '/only' } };
    const action = { name: 'r', typed_config: packAny('envoy.config.route.v3.Route', route) };
    const tree = { ...matcher.matcher_tree, exact_match_map: { map: { a: { action } } } };
    const picky = ofHost({ routes: [], matcher: { ...matcher, matcher_tree: tree } });
    const headers = { service: 'a', servicename: 'a' };
    expect(picky.lookup(request('x', '/only', headers))?.cluster).toBe('a');
    expect(picky.lookup(request('x', '/other', headers))).toBeUndefined();
  });

  test('a default action answers what the tree does not know', () => {
    const on_no_match = {
      action: { name: 'r', typed_config: packAny('envoy.config.route.v3.Route', toCluster('rest')) },
    };
    const withDefault = ofHost({
      routes: [],
      matcher: { ...headerMatcher('service', { a: 'a' }), on_no_match },
    });
    expect(withDefault.lookup(request('x', '/', { service: 'b' }))?.cluster).toBe('rest');
  });
});

describe('a RouteConfiguration is refused by field', () => {
  const tree = headerMatcher('service', { a: 'a' });
  const path = 'virtual_hosts[0]';
  test.each<[string, RouteConfiguration, string]>([
    [
      'two hosts of one name',
      { virtual_hosts: [virtualHost('a', ['a']), virtualHost('a', ['b'])] },
      'virtual_hosts[1].name: "a" is listed twice',
    ],
    [
      'a domain listed twice',
      { virtual_hosts: [virtualHost('a', ['x']), virtualHost('b', ['X'])] },
      'virtual_hosts[1].domains: "x" is listed twice',
    ],
    ['a host without a name', { virtual_hosts: [virtualHost('', ['a'])] }, `${path}.name: empty`],
  ])('%s', (_, message, text) => {
    expect(() => compile(message)).toThrow(text);
  });

  test.each<[string, Partial<VirtualHost>, string]>([
    [
      'another action',
      { routes: [{ match: { prefix: '/' }, non_forwarding_action: {} }] },
      `${path}.routes[0].non_forwarding_action: not supported`,
    ],
    ['no action', { routes: [{ match: { prefix: '/' } }] }, `${path}.routes[0].action: not supported`],
    ['no match', { routes: [{ route: { cluster: 'a' } }] }, `${path}.routes[0].match: missing`],
    ['no path', { routes: [{ match: {}, route: { cluster: 'a' } }] }, 'match.path_specifier: not supported'],
    [
      'a regex',
      { routes: [{ ...toCluster('a'), match: { safe_regex: { regex: 'a' } } }] },
      'match.safe_regex',
    ],
    [
      'query parameters',
      { routes: [{ ...toCluster('a'), match: { prefix: '/', query_parameters: [{ name: 'q' }] } }] },
      'match.query_parameters',
    ],
    [
      'a header range',
      { routes: [{ ...toCluster('a'), match: { prefix: '/', headers: [{ name: 'h', range_match: {} }] } }] },
      'match.headers[0].range_match',
    ],
    [
      'weighted clusters of none',
      { routes: [{ match: { prefix: '/' }, route: { weighted_clusters: {} } }] },
      'route.weighted_clusters.clusters: empty',
    ],
    [
      'an empty cluster',
      { routes: [{ match: { prefix: '/' }, route: { cluster: '' } }] },
      'route.cluster: empty',
    ],
    ['TLS demanded', { require_tls: 'ALL' }, 'require_tls: ALL'],
    ['matcher beside routes', { matcher: tree }, 'matcher: excludes routes'],
    ['a matcher list', { routes: [], matcher: { matcher_list: {} } }, 'matcher.matcher_list: not supported'],
    [
      'a prefix map',
      {
        routes: [],
        matcher: { matcher_tree: { ...tree.matcher_tree, exact_match_map: null, prefix_match_map: {} } },
      },
      'matcher.matcher_tree.prefix_match_map',
    ],
    [
      'another input',
      {
        routes: [],
        matcher: {
          matcher_tree: {
            ...tree.matcher_tree,
            input: { name: 'x', typed_config: packAny('envoy.config.route.v3.Route', {}) },
          },
        },
      },
      'matcher.matcher_tree.input.typed_config',
    ],
    [
      'an unknown matcher action',
      {
        routes: [],
        matcher: {
          ...tree,
          on_no_match: {
            action: { name: 'x', typed_config: packAny('envoy.config.route.v3.VirtualHost', {}) },
          },
        },
      },
      'on_no_match.action.typed_config',
    ],
  ])('%s', (_, host, text) => {
    expect(() => ofHost(host)).toThrow(text);
  });
});
