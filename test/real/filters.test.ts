// Local rate limit, fault injection, mirroring and what routes do to requests, on Envoy and on the bundled
// proxy from the same resources.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import type { HTTPFault } from '../../proto/gen/types/envoy/extensions/filters/http/fault/v3/HTTPFault.ts';
import type { LocalRateLimit } from '../../proto/gen/types/envoy/extensions/filters/http/local_ratelimit/v3/LocalRateLimit.ts';
import { answer, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const RATE_LIMIT = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const ALL = { default_value: { numerator: 100 } };
const HALF = { default_value: { numerator: 50 } };
const NOBODY = { default_value: { numerator: 0 } };

const limit = (more: LocalRateLimit): LocalRateLimit => ({
  stat_prefix: 'limit',
  filter_enabled: ALL,
  filter_enforced: ALL,
  token_bucket: { max_tokens: 3, tokens_per_fill: { value: 3 }, fill_interval: { seconds: 3_600 } },
  ...more,
});
const limited = (name: string, message: LocalRateLimit): Pick<ScriptedService, 'name' | 'onRoute'> => ({
  name,
  onRoute: { typed_per_filter_config: { limit: packAny(RATE_LIMIT, message) } },
});
const faulty = (name: string, message: HTTPFault): Pick<ScriptedService, 'name' | 'onRoute'> => ({
  name,
  onRoute: { typed_per_filter_config: { fault: packAny(FAULT, message) } },
});
const HUNDRED = { numerator: 100 };

const SERVICES: readonly Omit<ScriptedService, 'assignment'>[] = [
  { name: 'plain' },
  limited('three', limit({})),
  limited(
    'own-status',
    limit({
      status: { code: 'ServiceUnavailable' },
      response_headers_to_add: [{ header: { key: 'x-limited', value: 'yes' } }],
    }),
  ),
  limited('not-enforced', limit({ filter_enforced: NOBODY })),
  limited('not-enabled', limit({ filter_enabled: NOBODY })),
  limited(
    'refilled',
    limit({
      token_bucket: { max_tokens: 1, tokens_per_fill: { value: 1 }, fill_interval: { nanos: 200_000_000 } },
    }),
  ),
  faulty('aborted', { abort: { http_status: 418, percentage: HUNDRED } }),
  faulty('delayed', { delay: { fixed_delay: { nanos: 300_000_000 }, percentage: HUNDRED } }),
  faulty('both', {
    delay: { fixed_delay: { nanos: 50_000_000 }, percentage: HUNDRED },
    abort: { http_status: 503, percentage: HUNDRED },
  }),
  faulty('some-callers', {
    abort: { http_status: 418, percentage: HUNDRED },
    headers: [{ name: 'x-caller', string_match: { exact: 'me' } }],
  }),
  faulty('by-header', {
    abort: { header_abort: {}, percentage: HUNDRED },
    delay: { header_delay: {}, percentage: HUNDRED },
  }),
  faulty('for-others', { abort: { http_status: 418, percentage: HUNDRED }, upstream_cluster: 'another' }),
  { name: 'shadow' },
  { name: 'mirrored', route: { request_mirror_policies: [{ cluster: 'shadow' }] } },
  {
    name: 'mirrored-by-half',
    route: { request_mirror_policies: [{ cluster: 'shadow', runtime_fraction: HALF }] },
  },
  {
    name: 'rewritten',
    route: { host_rewrite_literal: 'other.example', prefix_rewrite: '/new/' },
    virtualHost: {
      request_headers_to_add: [
        { header: { key: 'x-added', value: '100%% of %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%' } },
        { header: { key: 'x-set', value: 'new' }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
        { header: { key: 'x-kept', value: 'new' }, append_action: 'ADD_IF_ABSENT' },
      ],
      request_headers_to_remove: ['x-secret'],
      response_headers_to_add: [{ header: { key: 'x-seen', value: 'yes' } }],
      response_headers_to_remove: ['x-internal'],
    },
  },
];

describePeers(['envoy'], 'the same filters and routes on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;

  beforeAll(async () => {
    hosts = await startBehavingHosts(2);
    planes = await startScriptedPlanes(start);
    await planes.set(
      [
        ...SERVICES.map((service) => ({
          ...service,
          assignment: { endpoints: [hosts.endpoints(service.name === 'shadow' ? 1 : 0)] },
        })),
        {
          name: 'weighted',
          assignment: { endpoints: [hosts.endpoints(0)] },
          virtualHost: {
            routes: [
              { match: { path: '/is-routed' }, direct_response: { status: 299 } },
              { match: { path: '/here' }, direct_response: { status: 203, body: { inline_string: 'here' } } },
              {
                match: { prefix: '/old' },
                redirect: { prefix_rewrite: '/new', host_redirect: 'b.example', response_code: 'FOUND' },
              },
              {
                match: { prefix: '/' },
                route: {
                  weighted_clusters: {
                    clusters: [
                      { name: 'plain', weight: { value: 0 } },
                      { name: 'shadow', weight: { value: 5 } },
                    ],
                  },
                },
              },
            ],
          },
        },
      ],
      {
        http_filters: [
          { name: 'limit', typed_config: packAny(RATE_LIMIT, { stat_prefix: 'none' }) },
          { name: 'fault', typed_config: packAny(FAULT, {}) },
          { name: 'router', typed_config: packAny(ROUTER, {}) },
        ],
      },
    );
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('limit the rate', async () => {
    for (const plane of planes.planes) {
      hosts.behave(answer(200));
      for (const [service, last] of [
        ['three', '429 - local_rate_limited'],
        ['own-status', '503 - local_rate_limited'],
        ['not-enforced', '200 - 200'],
        ['not-enabled', '200 - 200'],
      ]) {
        const seen: string[] = [];
        for (let i = 0; i < 4; i += 1) {
          const { status, flags, body } = await plane.probe(service ?? '');
          seen.push(`${status} ${flags} ${body}`);
        }
        expect({ service, seen }, plane.kind).toEqual({
          service,
          seen: ['200 - 200', '200 - 200', '200 - 200', last],
        });
      }
      expect((await plane.probe('own-status')).headers['x-limited'], plane.kind).toBe('yes');
      await eventually(async () => (await plane.probe('refilled')).status === 429, { what: 'one too many' });
      await eventually(async () => (await plane.probe('refilled')).status === 200, { what: 'a new token' });
    }
  });

  it('inject faults', async () => {
    const FAULTS = [
      ['aborted', {}, '418 FI fault filter abort'],
      ['delayed', {}, '200 DI 200'],
      ['both', {}, '503 DI,FI fault filter abort'],
      ['some-callers', {}, '200 - 200'],
      ['some-callers', { 'x-caller': 'me' }, '418 FI fault filter abort'],
      ['by-header', {}, '200 - 200'],
      ['by-header', { 'x-envoy-fault-abort-request': '409' }, '409 FI fault filter abort'],
      ['by-header', { 'x-envoy-fault-delay-request': '20' }, '200 DI 200'],
      ['for-others', {}, '200 - 200'],
    ] as const;
    for (const plane of planes.planes) {
      hosts.behave(answer(200));
      for (const [service, headers, expected] of FAULTS) {
        const { status, flags, body } = await plane.probe(service, { headers });
        expect(`${service}: ${status} ${flags} ${body}`, plane.kind).toBe(`${service}: ${expected}`);
      }
    }
  });

  it('send a delayed request whole', async () => {
    for (const plane of planes.planes) {
      hosts.behave(answer(200));
      await plane.probe('delayed', { method: 'POST', body: 'y'.repeat(50_000), path: '/late?x=1' });
      const seen = hosts.hosts[0]?.seen.map(({ method, path, body }) => `${method} ${path} ${body.length}`);
      expect(seen, plane.kind).toEqual(['POST /late?x=1 50000']);
    }
  });

  it('mirror requests', async () => {
    for (const plane of planes.planes) {
      hosts.behave(answer(200));
      hosts.hosts[1]?.behave(answer(500));
      const sent = { method: 'POST', body: 'z'.repeat(30_000), path: '/m' } as const;
      expect((await plane.probe('mirrored', sent)).status, plane.kind).toBe(200);
      await eventually(() => hosts.hosts[1]?.seen.length === 1, { what: `the copy of ${plane.kind}` });
      const [copy] = hosts.hosts[1]?.seen ?? [];
      expect({ host: copy?.headers.host, path: copy?.path, body: copy?.body }, plane.kind).toEqual({
        host: 'mirrored-shadow',
        path: '/m',
        body: sent.body,
      });
      hosts.behave(answer(200));
      for (let i = 0; i < 200; i += 1) await plane.probe('mirrored-by-half');
      // Six standard deviations.
      await eventually(() => Math.abs((hosts.hosts[1]?.seen.length ?? 0) - 100) < 43, { what: 'about half' });
    }
  }, 60_000);

  it('change heads alike', async () => {
    for (const plane of planes.planes) {
      hosts.behave(answer(200, { 'x-internal': 'no' }));
      const headers = { 'x-secret': 'no', 'x-set': 'old', 'x-kept': 'old' };
      const { headers: seen } = await plane.probe('rewritten', { path: '/a?b=c', headers });
      expect({ seen: seen['x-seen'], internal: seen['x-internal'] }, plane.kind).toEqual({
        seen: 'yes',
        internal: undefined,
      });
      const [one] = hosts.hosts[0]?.seen ?? [];
      expect({ path: one?.path, ...pick(one?.headers ?? {}) }, plane.kind).toEqual({
        path: '/new/a?b=c',
        host: 'other.example',
        'x-added': '100% of 127.0.0.1',
        'x-set': 'new',
        'x-kept': 'old',
        'x-secret': undefined,
        'x-envoy-original-path': '/a?b=c',
      });
    }
  });

  it('choose, answer and redirect by route', async () => {
    for (const plane of planes.planes) {
      hosts.behave(answer(200));
      for (let i = 0; i < 5; i += 1) await plane.probe('weighted');
      expect(hosts.counts(), plane.kind).toEqual([0, 5]);
      expect(await plane.probe('weighted', { path: '/here' }), plane.kind).toMatchObject({
        status: 203,
        body: 'here',
      });
      const { status, headers } = await plane.probe('weighted', { path: '/old/x?y=z' });
      expect({ status, location: headers['location'] }, plane.kind).toEqual({
        status: 302,
        location: 'http://b.example/new/x?y=z',
      });
    }
  });
});

const NAMES = ['host', 'x-added', 'x-set', 'x-kept', 'x-secret', 'x-envoy-original-path'];

const pick = (headers: Readonly<Record<string, string | string[] | undefined>>) =>
  Object.fromEntries(NAMES.map((name) => [name, headers[name]]));
