// The validator, rule by rule; test/real/validate.test.ts compares it with a true Envoy.
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { encode } from '../../../proto/codec.ts';
import { MESSAGE_NAME } from '../../../xds-server/types.ts';
import type { ResourceType } from '../../../xds-server/types.ts';
import { RESOURCE_INVALID, encodeValid, problemsOf } from '../../../xds-server/validate/index.ts';
import { checkMessage } from '../../../xds-server/validate/messages.ts';
import { RICH_CLUSTER, RICH_LISTENER, RICH_ROUTES } from '../../support/rich-resources.ts';
import { GOLDEN_CASES } from './golden-cases.ts';
import { service } from './services.ts';
import { World, likeEnvoy } from './world.ts';

const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** Problems of a field declared with these rules, given this value. */
function problems(declaration: string, value: unknown): string[] {
  const { root } = protobuf.parse(
    `syntax = "proto3"; enum E { A = 0; B = 2; } message M { ${declaration} }`,
    {
      keepCase: true,
    },
  );
  const type = root.lookupType('M');
  for (const part of [...type.fieldsArray, ...type.oneofsArray]) {
    const options = (part.parsedOptions ?? []) as readonly Record<string, unknown>[];
    part.options = Object.assign({}, ...options) as Record<string, unknown>;
  }
  const found: string[] = [];
  checkMessage(type, type.fromObject({ f: value }), '', (path, problem) => found.push(`${path}: ${problem}`));
  return found;
}

type Case = readonly [declaration: string, good: unknown, bad: unknown];

const CASES: readonly Case[] = [
  ['string f = 1 [(validate.rules).string.min_len = 2];', '\u{1F600}b', 'x'],
  ['string f = 1 [(validate.rules).string = {max_bytes: 3}];', 'abc', '\u{1F600}'],
  ['string f = 1 [(validate.rules).string = {in: "a" in: "b"}];', 'a', 'c'],
  ['string f = 1 [(validate.rules).string = {pattern: "^[^?#]+$"}];', '/a', '/a?b'],
  ['string f = 1 [(validate.rules).string = {pattern: "^/x$" ignore_empty: true}];', '', 'y'],
  ['string f = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME}];', ':path', 'a b'],
  ['string f = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_VALUE}];', 'a b', 'a\u0007'],
  [
    'string f = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME strict: false}];',
    'a b',
    'a\n',
  ],
  ['bytes f = 1 [(validate.rules).bytes = {min_len: 1 max_len: 2}];', Buffer.from('a'), Buffer.from('abc')],
  ['uint32 f = 1 [(validate.rules).uint32 = {gte: 1 lte: 65535}];', 1, 65_536],
  ['uint64 f = 1 [(validate.rules).uint64 = {gt: 0 lt: 65536}];', 65_535, 65_536],
  ['double f = 1 [(validate.rules).double = {gt: 0.5}];', 0.6, 0.5],
  ['bool f = 1 [(validate.rules).bool.const = true];', true, false],
  ['E f = 1 [(validate.rules).enum.defined_only = true];', 2, 1],
  ['E f = 1 [(validate.rules).enum = {defined_only: true not_in: 2}];', 0, 2],
  ['repeated string f = 1 [(validate.rules).repeated = {min_items: 1 max_items: 2}];', ['a'], []],
  ['repeated string f = 1 [(validate.rules).repeated = {unique: true}];', ['a', 'b'], ['a', 'a']],
  ['repeated uint32 f = 1 [(validate.rules).repeated = {items {uint32 {lt: 256}}}];', [255], [1, 256]],
  ['map<string, uint32> f = 1 [(validate.rules).map = {min_pairs: 1}];', { a: 1 }, {}],
  ['map<string, uint32> f = 1 [(validate.rules).map.keys.string.min_len = 2];', { ab: 1 }, { a: 1 }],
  ['map<string, uint32> f = 1 [(validate.rules).map.values.uint32.gt = 1];', { a: 2 }, { a: 1 }],
];

describe('rules of the .proto files', () => {
  it.each(CASES)('%s', (declaration, good, bad) => {
    expect(problems(declaration, good)).toEqual([]);
    expect(problems(declaration, bad)).toHaveLength(1);
  });

  it('a rule of a kind that is not known is an error, not a gap', () => {
    expect(() => problems('string f = 1 [(validate.rules).string.uuid = true];', 'x')).toThrow('string.uuid');
  });

  it('name the path, into lists and packed messages', () => {
    const bad = { ...RICH_CLUSTER, circuit_breakers: { thresholds: [{}, { priority: 9 }] } };
    expect(problemsOf(MESSAGE_NAME.cds, encode(MESSAGE_NAME.cds, bad))).toEqual([
      'circuit_breakers.thresholds[1].priority: no value of the enum',
    ]);
    const manager = encode(HCM, { ...RICH_LISTENER, stat_prefix: '' });
    const filter = { name: 'h', typed_config: { type_url: `type.googleapis.com/${HCM}`, value: manager } };
    const listener = { name: 'l', address: { pipe: { path: '/x' } }, filter_chains: [{ filters: [filter] }] };
    expect(problemsOf(MESSAGE_NAME.lds, encode(MESSAGE_NAME.lds, listener))).toEqual([
      'filter_chains[0].filters[0].typed_config<HttpConnectionManager>.stat_prefix: shorter than 1',
    ]);
  });

  it('durations and required messages', () => {
    const of = (wrong: object) =>
      problemsOf(MESSAGE_NAME.cds, encode(MESSAGE_NAME.cds, { ...RICH_CLUSTER, ...wrong }));
    expect(of({ connect_timeout: {} })).toEqual(['connect_timeout: not more than 0 s']);
    expect(of({ connect_timeout: { seconds: -1 } })).toHaveLength(2);
    expect(of({ health_checks: [{}] })).toContain('health_checks[0].timeout: is required');
    expect(of({ health_checks: [{}] })).toContain('health_checks[0].health_checker: none of them is set');
  });
});

describe('rules that the .proto files do not state', () => {
  const eds = (message: object) =>
    problemsOf(MESSAGE_NAME.eds, encode(MESSAGE_NAME.eds, { cluster_name: 'c', ...message }));
  const at = (address: string, more: object = {}) => ({
    endpoint: { address: { socket_address: { address, port_value: 1 } } },
    ...more,
  });

  it.each([
    ['a gap in the priorities', { endpoints: [{ priority: 1 }] }, /priority 1 without priority 0/],
    ['a locality twice', { endpoints: [{ locality: { zone: 'a' } }, { locality: { zone: 'a' } }] }, /twice/],
    [
      'two drop overloads',
      { policy: { drop_overloads: [{ category: 'a' }, { category: 'b' }] } },
      /more than one/,
    ],
    ['a host name', { endpoints: [{ lb_endpoints: [at('db.internal')] }] }, /no IP address/],
    [
      'weights beyond 32 bits',
      {
        endpoints: [
          {
            lb_endpoints: [1, 2].map((i) => at(`10.0.0.${i}`, { load_balancing_weight: { value: 3e9 } })),
          },
        ],
      },
      /32 bits/,
    ],
  ])('assignments: %s', (_title, message, text) => {
    expect(eds(message).join()).toMatch(text);
  });

  it('routes: a domain twice, in whatever case', () => {
    const hosts = ['Orders', 'orders'].map((domain) => ({ name: domain, domains: [domain] }));
    const bytes = encode(MESSAGE_NAME.rds, { name: 'r', virtual_hosts: hosts });
    expect(problemsOf(MESSAGE_NAME.rds, bytes)).toEqual([
      'virtual_hosts[1].domains: "orders" stands in [0] already',
    ]);
  });
});

describe('what this server sends', () => {
  it('encodes what is valid, and refuses the rest with all that is wrong', () => {
    expect(
      encodeValid(MESSAGE_NAME.rds, RICH_ROUTES, 'r').equals(encode(MESSAGE_NAME.rds, RICH_ROUTES)),
    ).toBe(true);
    const bad = { name: '', type: 'EDS' as const, connect_timeout: {} };
    expect(() => encodeValid(MESSAGE_NAME.cds, bad, 'orders')).toThrow(
      /Cluster orders would be refused: name: shorter than 1; connect_timeout: .*; eds_cluster_config/,
    );
    expect(RESOURCE_INVALID.code).toBe('ISTHMUS_XDS_RESOURCE_INVALID');
  });

  it.each(Object.entries(GOLDEN_CASES))('is valid: %s', (_title, one) => {
    const world = new World(...one.services);
    const view = world.groups.join({
      dialect: 'envoy',
      upstreams: [],
      outbound: { host: '127.0.0.1', port: 15_001 },
      inbound: { host: '', port: 15_006, appPort: 80, service: 'orders.default' },
    }).view;
    for (const type of ['cds', 'eds', 'lds', 'rds'] as const satisfies readonly ResourceType[]) {
      for (const name of view.names(type)) {
        const bytes = view.get(type, name)?.bytes ?? Buffer.alloc(0);
        expect(problemsOf(MESSAGE_NAME[type], bytes), `${type} ${name}`).toEqual([]);
      }
    }
  });

  it('a service that cannot be built keeps what it had, and others go on', () => {
    const world = new World(service('orders.default', '10.0.0.1:80'));
    const client = likeEnvoy(world, ['orders.default']);
    world.update(service('orders.default', '10.0.0.1:80'), service('\uD800.default', '10.0.0.2:80'));
    client.silent();
    expect(world.faults).toHaveLength(1);
  });
});
