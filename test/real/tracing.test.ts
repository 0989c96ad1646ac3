// Traces of Envoy and of the bundled proxy after the same requests: the same decisions, the same heads at the
// upstream, the same spans at an OpenTelemetry collector, over HTTP and over gRPC.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import type { HttpConnectionManager } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import { answer, deadPort, endpointAt, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startCollector } from '../support/otlp.ts';
import type { Collector, SeenSpan } from '../support/otlp.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

const OTEL = 'envoy.config.trace.v3.OpenTelemetryConfig';
const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const T = '0af7651916cd43dd8448eb211c80319c';
const P = 'b7ad6b7169203331';
const id = (reason: string): string => `00000001-1111-${reason}222-8333-444444444444`;

/** One request; `spans` is how many come of it. */
interface Case {
  readonly name: string;
  readonly service?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly spans?: 0 | 1;
}

const CASES: readonly Case[] = [
  { name: 'new', headers: { 'user-agent': 'me', 'x-team': 'blue' } },
  { name: 'goes-on', headers: { traceparent: `00-${T}-${P}-01`, tracestate: 'a=1,b=2' } },
  { name: 'upper-case', headers: { traceparent: `00-${T.toUpperCase()}-${P}-01` } },
  { name: 'not-sampled', headers: { traceparent: `00-${T}-${P}-00` }, spans: 0 },
  { name: 'other-version', headers: { traceparent: `01-${T}-${P}-01` } },
  { name: 'longer', headers: { traceparent: `01-${T}-${P}-01-more` }, spans: 0 },
  { name: 'nonsense', headers: { traceparent: 'nonsense', tracestate: 'a=1' }, spans: 0 },
  { name: 'zeros', headers: { traceparent: `00-${'0'.repeat(32)}-${P}-01` }, spans: 0 },
  { name: 'state-alone', headers: { tracestate: 'a=1' } },
  { name: 'id-says-random', headers: { 'x-request-id': id('9') } },
  { name: 'id-says-no', headers: { 'x-request-id': id('4') } },
  { name: 'id-says-forced', headers: { 'x-request-id': id('a') } },
  { name: 'client', headers: { 'x-request-id': id('4'), 'x-client-trace-id': 'c' } },
  { name: 'force', headers: { 'x-request-id': id('4'), 'x-envoy-force-trace': '1' } },
  { name: 'no-uuid', headers: { 'x-request-id': 'mine' }, spans: 0 },
  { name: 'fails', service: 'fails' },
  { name: 'dead', service: 'dead' },
  { name: 'empty', service: 'empty' },
  { name: 'nowhere', service: 'nowhere' },
  { name: 'decorated', service: 'decorated' },
  { name: 'rewritten', service: 'rewritten' },
];

const DECISIONS = ['new', 'goes-on', 'id-says-random', 'id-says-no', 'id-says-forced', 'client', 'force'];
const decisions = (spans: readonly string[]): readonly Case[] =>
  CASES.filter(({ name }) => DECISIONS.includes(name)).map((one) => ({
    ...one,
    spans: spans.includes(one.name) ? 1 : 0,
  }));

const HTTP = {
  http_service: {
    http_uri: { uri: 'http://otel.example:99/v1/x?tenant=7', cluster: 'collector', timeout: { seconds: 1 } },
    request_headers_to_add: [{ header: { key: 'x-tenant', value: 'blue' } }],
  },
  service_name: 'shop',
};
const GRPC = {
  grpc_service: {
    envoy_grpc: { cluster_name: 'collector-grpc' },
    timeout: { seconds: 1 },
    initial_metadata: [{ key: 'x-tenant', value: 'red' }],
  },
};
const tracing = (config: object, more: object = {}): Partial<HttpConnectionManager> => ({
  tracing: { provider: { name: 'otel', typed_config: packAny(OTEL, config) }, ...more },
});
const EDGE = { use_remote_address: { value: true }, preserve_external_request_id: true };
const INSIDE = { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: { value: 8 } }] };
const TAGS = [
  { tag: 'literal', literal: { value: 'v' } },
  { tag: 'team', request_header: { name: 'X-Team', default_value: 'none' } },
  { tag: 'absent', request_header: { name: 'x-absent' } },
  { tag: 'environment', environment: { name: 'ISTHMUS_NOT_SET', default_value: 'unset' } },
];

describePeers(['envoy'], 'the same traces on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;
  let collector: Collector;
  let services: readonly ScriptedService[];

  beforeAll(async () => {
    hosts = await startBehavingHosts(2);
    collector = await startCollector();
    planes = await startScriptedPlanes(start);
    const at = (index: number) => ({ endpoints: [hosts.endpoints(index)] });
    const port = (number: number) => ({ endpoints: [{ lb_endpoints: [endpointAt(number)] }] });
    services = [
      { name: 'plain', assignment: at(0) },
      { name: 'fails', assignment: at(1) },
      { name: 'dead', assignment: port(await deadPort()) },
      { name: 'empty', assignment: { endpoints: [] } },
      { name: 'decorated', onRoute: { decorator: { operation: 'buy' } }, assignment: at(0) },
      { name: 'rewritten', route: { prefix_rewrite: '/new/' }, assignment: at(0) },
      { name: 'collector', assignment: port(collector.httpPort) },
      {
        name: 'collector-grpc',
        cluster: {
          typed_extension_protocol_options: {
            [OPTIONS]: packAny(OPTIONS, { explicit_http_config: { http2_protocol_options: {} } }),
          },
        },
        assignment: port(collector.grpcPort),
      },
    ];
  }, 120_000);
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
    await collector?.stop();
  });

  const both = async (cases: readonly Case[]) => {
    const asked = [];
    for (const plane of planes.planes) asked.push(await askAll(plane, hosts, cases));
    const of = (kind: string) => collector.spans.filter((span) => madeBy(span) === kind);
    const wanted = cases.filter(({ spans = 1 }) => spans === 1).map(({ name }) => name);
    await eventually(
      () =>
        ['envoy', 'isthmus'].every((kind) => {
          const names = new Set(of(kind).map(caseOf));
          return wanted.every((name) => names.has(name));
        }),
      { withinMs: 30_000, what: 'the spans of both' },
    );
    const [envoy = new Map(), proxy = new Map()] = asked;
    const result = {
      envoy: outcomes(cases, envoy, of('envoy')),
      proxy: outcomes(cases, proxy, of('isthmus')),
    };
    collector.spans.splice(0);
    return result;
  };

  it('over HTTP, with tags of its own', async () => {
    await planes.set(services, tracing(HTTP, { custom_tags: TAGS }));
    const before = await Promise.all(planes.planes.map((plane) => plane.stats()));
    const { envoy, proxy } = await both(CASES);
    expect(proxy).toEqual(envoy);
    expect(proxy['new']?.spans[0]?.attributes).toMatchObject({
      literal: 'v',
      team: 'blue',
      environment: 'unset',
    });
    for (const { path, headers } of collector.requests) {
      expect({ path, host: headers['host'], tenant: headers['x-tenant'] }).toEqual({
        path: '/v1/x?tenant=7',
        host: 'otel.example:99',
        tenant: 'blue',
      });
    }
    const now = await Promise.all(planes.planes.map((plane) => plane.stats()));
    const counts = now.map((stats, i) =>
      ['random_sampling', 'service_forced', 'client_enabled', 'not_traceable'].map((reason) => {
        const name = `http.scripted.tracing.${reason}`;
        return `${reason} ${(stats.get(name) ?? 0) - (before[i]?.get(name) ?? 0)}`;
      }),
    );
    expect(counts[1]).toEqual(counts[0]);
  }, 90_000);

  it('over gRPC, of requests that go out, of none at random, with short paths', async () => {
    const more = { random_sampling: { value: 0 }, max_path_tag_length: { value: 6 } };
    await planes.set(services, tracing(GRPC, more), (listener) => ({
      ...listener,
      traffic_direction: 'OUTBOUND',
    }));
    collector.requests.splice(0);
    const { envoy, proxy } = await both(decisions([]).filter(({ name }) => name !== 'client'));
    expect(proxy).toEqual(envoy);
    const sampled = await both([
      { name: 'm', service: 'plain', headers: { 'x-request-id': id('9') } },
      { name: 'n', service: 'decorated', headers: { 'x-request-id': id('a') } },
    ]);
    expect(sampled.proxy).toEqual(sampled.envoy);
    expect(sampled.proxy['m']?.spans[0]?.name).toBe('egress plain');
    expect(collector.requests.length).toBeGreaterThan(1);
    for (const { headers } of collector.requests) expect(headers['x-tenant']).toBe('red');
  }, 90_000);

  it('at the edge: strangers decide nothing, callers inside may force', async () => {
    await planes.set(services, { ...tracing(HTTP, { random_sampling: { value: 0 } }), ...EDGE });
    const strangers = await both(decisions(['client']));
    expect(strangers.proxy).toEqual(strangers.envoy);
    await planes.set(services, {
      ...tracing(HTTP, { random_sampling: { value: 0 } }),
      ...EDGE,
      internal_address_config: INSIDE,
    });
    const inside = await both(decisions(['id-says-random', 'id-says-forced', 'client', 'force']));
    expect(inside.proxy).toEqual(inside.envoy);
    await planes.set(services, tracing(HTTP, { overall_sampling: { value: 0 } }));
    const never = await both(decisions([]));
    expect(never.proxy).toEqual(never.envoy);
  }, 120_000);
});

type Heads = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

/** @returns what of the context reached the upstream, by case. */
async function askAll(
  plane: ScriptedPlane,
  { hosts }: BehavingHosts,
  cases: readonly Case[],
): Promise<Heads> {
  const heads = new Map<string, Readonly<Record<string, unknown>>>();
  const [plain, failing] = hosts;
  plain?.behave(answer(200));
  failing?.behave(answer(503));
  for (const { name, service = 'plain', headers = {} } of cases) {
    for (const host of hosts) host.clear();
    await plane.probe(service, { path: `/${name}?long=query`, headers });
    const { traceparent, tracestate, 'x-request-id': requestId } = plain?.seen[0]?.headers ?? {};
    heads.set(name, { traceparent, tracestate, requestId });
  }
  return heads;
}

const madeBy = ({ resource }: SeenSpan): string => resource['telemetry.sdk.name'] ?? '';
const caseOf = ({ attributes }: SeenSpan): string =>
  /^http:\/\/[^/]*\/([\w-]*)/.exec(attributes['http.url'] ?? '')?.[1] ?? '';

/** New ids as letters, and every id of a head that is the span's own. */
function outcomes(cases: readonly Case[], heads: Heads, spans: readonly SeenSpan[]) {
  return Object.fromEntries(
    cases.map(({ name }) => {
      const own = spans.filter((span) => caseOf(span) === name);
      const [span] = own;
      const letters = (text: unknown) =>
        typeof text !== 'string'
          ? text
          : text
              .replace(span?.spanId ?? /(?<=-)(?!b7ad)[0-9a-f]{16}(?=-)/, 'SPAN')
              .replace(T, 'GIVEN')
              .replace(span?.traceId ?? /[0-9a-f]{32}/, 'TRACE');
      const { traceparent, tracestate, requestId } = heads.get(name) ?? {};
      return [
        name,
        {
          // Envoy sends an empty tracestate along.
          heads: {
            traceparent: letters(traceparent),
            tracestate: tracestate || undefined,
            id: markOf(requestId),
          },
          spans: own.map((one) => ({
            ...one,
            traceId: letters(one.traceId),
            spanId: 'SPAN',
            inOrder: one.endNano >= one.startNano,
            startNano: 0,
            endNano: 0,
            resource: one.resource['service.name']?.replace('isthmus', 'envoy'),
            attributes: plainOf(one),
          })),
        },
      ] as const;
    }),
  );
}

const markOf = (requestId: unknown): string =>
  typeof requestId === 'string' && requestId.length === 36 ? (requestId[14] ?? '') : String(requestId);

/** Without what two runs do not share, and without the upstream's address, which Envoy's span does not name. */
function plainOf({ attributes, failed }: SeenSpan): Readonly<Record<string, string>> {
  const {
    upstream_address: _,
    'guid:x-request-id': requestId,
    node_id: node,
    response_size: size = '',
    response_flags: flags = '',
    ...rest
  } = attributes;
  return {
    ...rest,
    id: markOf(requestId),
    node: node === '' ? '' : 'NODE',
    flags,
    // Texts of answers of its own are each one's own.
    size: failed || flags !== '-' ? '' : size,
  };
}
