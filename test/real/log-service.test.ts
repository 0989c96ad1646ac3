// Envoy's gRPC access log service, told by Envoy and by the bundled proxy of the same requests: the same entries,
// but for times and for lengths of heads, which each counts of its own.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import type { AccessLogFilter } from '../../proto/gen/types/envoy/config/accesslog/v3/AccessLogFilter.ts';
import type { Listener } from '../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { HTTPAccessLogEntry__Output } from '../../proto/gen/types/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts';
import { answer, cut, deadPort, endpointAt, hang, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startLogService } from '../support/log-service.ts';
import type { LogService } from '../support/log-service.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

const HTTP_GRPC = 'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig';
const TCP_GRPC = 'envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig';
const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

const COMMON = {
  grpc_service: {
    envoy_grpc: { cluster_name: 'logs' },
    initial_metadata: [{ key: 'x-tenant', value: 'blue' }],
  },
  transport_api_version: 'V3' as const,
  buffer_flush_interval: { nanos: 100_000_000 },
};
const logger = (logName: string, filter?: AccessLogFilter) => ({
  name: logName,
  typed_config: packAny(HTTP_GRPC, {
    common_config: {
      ...COMMON,
      log_name: logName,
      custom_tags: [{ tag: 'literal', literal: { value: 'v' } }],
    },
    additional_request_headers_to_log: ['X-Team', 'x-absent'],
    additional_response_headers_to_log: ['x-answer'],
  }),
  ...(filter && { filter }),
});
const percent = (numerator: number, more: object = {}): AccessLogFilter => ({
  runtime_filter: { runtime_key: 'none', percent_sampled: { numerator }, ...more },
});
const id = (front: string): string => `${front}-1111-4222-8333-444444444444`;

describePeers(['envoy'], 'the same entries of the gRPC access log from Envoy and from the proxy', (start) => {
  let planes: ScriptedPlanes;
  let hosts: BehavingHosts;
  let logs: LogService;
  let services: readonly ScriptedService[];

  beforeAll(async () => {
    hosts = await startBehavingHosts(4);
    logs = await startLogService();
    planes = await startScriptedPlanes(start);
    const at = (index: number) => ({ endpoints: [hosts.endpoints(index)] });
    const port = (number: number) => ({ endpoints: [{ lb_endpoints: [endpointAt(number)] }] });
    services = [
      { name: 'plain', onRoute: { name: 'to-plain' }, assignment: at(0) },
      { name: 'rewritten', route: { prefix_rewrite: '/new/' }, assignment: at(0) },
      { name: 'failing', assignment: at(1) },
      { name: 'cutting', assignment: at(2) },
      { name: 'slow', route: { timeout: { nanos: 200_000_000 } }, assignment: at(3) },
      { name: 'dead', assignment: port(await deadPort()) },
      { name: 'empty', assignment: { endpoints: [] } },
      {
        name: 'logs',
        cluster: {
          typed_extension_protocol_options: {
            [OPTIONS]: packAny(OPTIONS, { explicit_http_config: { http2_protocol_options: {} } }),
          },
        },
        assignment: port(logs.port),
      },
    ];
    const [plain, failing, cutting, hanging] = hosts.hosts;
    plain?.behave(answer(200, { 'x-answer': 'yes' }));
    failing?.behave(answer(503));
    cutting?.behave(cut);
    hanging?.behave(hang);
  }, 120_000);
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
    logs?.stop();
  });

  const entries = async (log: string, count: number, ask: (plane: ScriptedPlane) => Promise<void>) => {
    for (const plane of planes.planes) await ask(plane);
    const of = (kind: string) =>
      logs.http.filter(
        (one) => one.log === log && one.node === `${kind}-web` && one.entry.request?.path !== '/is-routed',
      );
    await eventually(() => ['envoy', 'proxy'].every((kind) => of(kind).length >= count), {
      withinMs: 30_000,
      what: `${count} entries of both`,
    });
    const told = (kind: string) => of(kind).map(({ entry }) => plainEntry(entry));
    return { envoy: told('envoy'), proxy: told('proxy') };
  };

  it('of requests', async () => {
    await planes.set(services, {
      use_remote_address: { value: true },
      preserve_external_request_id: true,
      access_log: [logger('requests')],
    });
    const { envoy, proxy } = await entries('requests', 9, async (plane) => {
      await plane.probe('plain', { headers: { 'user-agent': 'me', 'x-team': 'blue', referer: 'r' } });
      await plane.probe('plain', { method: 'POST', path: '/a?b=c', body: 'x'.repeat(1_234) });
      for (const name of ['rewritten', 'failing', 'cutting', 'slow', 'dead', 'empty', 'nowhere']) {
        await plane.probe(name);
      }
    });
    expect(proxy).toEqual(envoy);
    expect(proxy).toHaveLength(9);
    for (const one of logs.streams) expect(one['x-tenant']).toBe('blue');
  }, 90_000);

  it('of a sample, by the ids of requests', async () => {
    await planes.set(services, {
      use_remote_address: { value: true },
      preserve_external_request_id: true,
      access_log: [
        logger('half', percent(50)),
        logger('none', percent(0)),
        logger('all', percent(100, { use_independent_randomness: true })),
      ],
    });
    const ask = async (plane: ScriptedPlane) => {
      for (const front of ['00000001', '00000031', '00000032', '00000063', '00000064', 'ffffffff']) {
        await plane.probe('plain', { headers: { 'x-request-id': id(front) } });
      }
      await plane.probe('plain', { headers: { 'x-request-id': id('00000001') } });
    };
    const { envoy, proxy } = await entries('all', 7, ask);
    expect(proxy).toEqual(envoy);
    const half = await entries('half', 1, async () => undefined);
    expect(half.proxy).toEqual(half.envoy);
    expect(logs.http.filter(({ log }) => log === 'none')).toEqual([]);
  }, 90_000);

  it('of connections', async () => {
    // Whether the services are there is asked of what every connection leads to.
    hosts.hosts[0]?.behave(answer(299));
    const both = services.filter(({ name }) => name === 'plain' || name === 'logs');
    await planes.set(both, {}, tcpListener);
    for (const plane of planes.planes) {
      await plane.probe('plain', { method: 'POST', path: '/', body: 'x'.repeat(5_000) });
    }
    const of = (kind: string) =>
      logs.tcp.filter(
        ({ log, node, entry }) =>
          log === 'tcp' &&
          node === `${kind}-web` &&
          Number(entry.connection_properties?.received_bytes ?? 0) > 5_000,
      );
    await eventually(() => ['envoy', 'proxy'].every((kind) => of(kind).length > 0), {
      withinMs: 30_000,
      what: 'the entries of both',
    });
    const told = (kind: string) =>
      of(kind).map(({ entry: { common_properties: common, ...entry } }) =>
        // An id that Envoy gives each connection.
        withoutRuns({ ...entry, common: { ...common, stream_id: '' } }),
      );
    expect(told('proxy')).toEqual(told('envoy'));
  }, 90_000);
});

function tcpListener(listener: Listener): Listener {
  return {
    ...listener,
    filter_chains: [
      {
        filters: [
          {
            name: 'tcp',
            typed_config: packAny(TCP_PROXY, {
              stat_prefix: 'tcp',
              cluster: 'plain',
              access_log: [
                {
                  name: 'tcp',
                  typed_config: packAny(TCP_GRPC, { common_config: { ...COMMON, log_name: 'tcp' } }),
                },
              ],
            }),
          },
        ],
      },
    ],
  };
}

const TIMES = /^(time_to_\w+|duration|start_time)$/;
/** Of heads and of all bytes; each data plane counts its own. */
const LENGTHS = /_wire_bytes_|headers?_bytes/;

/** Without what is not set, and without what no two runs share; times only as there. */
function withoutRuns(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutRuns);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, one]): [string, unknown][] => {
    if (one === '' || one === '0' || one === 0 || LENGTHS.test(key)) return [];
    if (TIMES.test(key)) return [[key, 'a time']];
    if (key === 'port_value') return [[key, 'a port']];
    if (key === 'stream_id' || key === 'request_id') return [[key, String(one).replace(UUID, 'ID')]];
    if (key === 'forwarded_for') return [[key, 'CALLER']];
    return [[key, withoutRuns(one)]];
  });
  return Object.fromEntries(entries);
}

const UUID = /^(?!00000|ffff)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Texts of answers of its own are each one's own. */
function plainEntry({ response, common_properties: common, ...entry }: HTTPAccessLogEntry__Output): unknown {
  const { response_body_bytes: bytes, response_code_details: details = '', ...rest } = response ?? {};
  const { upstream_transport_failure_reason: reason = '', ...properties } = common ?? {};
  return withoutRuns({
    ...entry,
    common: { ...properties, failed: reason !== '' },
    response: {
      ...rest,
      details: details.replace(/[|].*/, '|…}'),
      bytes: details === 'via_upstream' ? bytes : '',
    },
  });
}
