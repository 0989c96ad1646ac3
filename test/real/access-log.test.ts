// The access log of Envoy and of the bundled proxy after the same requests: the same lines, but for what no two
// runs share (times, ids, ports).
import { request as httpRequest } from 'node:http';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import type { AccessLog } from '../../proto/gen/types/envoy/config/accesslog/v3/AccessLog.ts';
import { answer, cut, deadPort, endpointAt, hang, startBehavingHosts } from '../support/behaving-hosts.ts';
import type { BehavingHosts } from '../support/behaving-hosts.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

const FILE = 'envoy.extensions.access_loggers.file.v3.FileAccessLog';
const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const RATE_LIMIT = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const HUNDRED = { numerator: 100 };
const ALL = { default_value: HUNDRED };

/** A file is in reach of the test only where Envoy is a process of this machine. */
const otherMachine = () =>
  inject('peers').envoy.mode === 'process' ? undefined : 'Envoy writes its files elsewhere';

const struct = (fields: Readonly<Record<string, string>>) => ({
  fields: Object.fromEntries(Object.entries(fields).map(([key, stringValue]) => [key, { stringValue }])),
});

const JSON_FORMAT = {
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  now: '%REQ(:PATH)%',
  authority: '%REQ(:AUTHORITY)%',
  protocol: '%PROTOCOL%',
  code: '%RESPONSE_CODE%',
  details: '%RESPONSE_CODE_DETAILS%',
  flags: '%RESPONSE_FLAGS%',
  long: '%RESPONSE_FLAGS_LONG%',
  received: '%BYTES_RECEIVED%',
  sent: '%BYTES_SENT%',
  cluster: '%UPSTREAM_CLUSTER%',
  upstream: '%UPSTREAM_HOST%',
  attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  client: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  local: '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%',
  forwarded: '%REQ(X-FORWARDED-FOR)%',
  short: '%REQ(X-LONG):4%',
  answered: '%RESP(X-ANSWER)% of %REQ(X-NOTHING)%',
  nothing: '%RESP(X-NOTHING)%',
  route: '%ROUTE_NAME%',
  whole: '%START_TIME(%Y)%%%',
};

const services = (hosts: BehavingHosts, dead: number): readonly ScriptedService[] => {
  const at = (index: number) => ({ endpoints: [hosts.endpoints(index)] });
  const nobody = { endpoints: [{ lb_endpoints: [endpointAt(dead)] }] };
  return [
    { name: 'plain', onRoute: { name: 'to-plain' }, assignment: at(0) },
    { name: 'rewritten', route: { prefix_rewrite: '/new/' }, assignment: at(0) },
    { name: 'failing', assignment: at(1) },
    { name: 'cutting', assignment: at(2) },
    { name: 'slow', route: { timeout: { nanos: 200_000_000 } }, assignment: at(3) },
    { name: 'dead', assignment: nobody },
    {
      name: 'retried',
      route: {
        retry_policy: {
          retry_on: '5xx',
          num_retries: { value: 2 },
          retry_back_off: { base_interval: { nanos: 1_000_000 } },
        },
      },
      assignment: at(1),
    },
    { name: 'empty', assignment: { endpoints: [] } },
    { name: 'lost', route: { cluster: 'no-such-cluster' }, assignment: at(0) },
    {
      name: 'aborted',
      onRoute: {
        typed_per_filter_config: {
          fault: packAny(FAULT, { abort: { http_status: 418, percentage: HUNDRED } }),
        },
      },
      assignment: at(0),
    },
    {
      name: 'limited',
      onRoute: {
        typed_per_filter_config: {
          limit: packAny(RATE_LIMIT, {
            stat_prefix: 'limit',
            filter_enabled: ALL,
            filter_enforced: ALL,
            token_bucket: { max_tokens: 1, tokens_per_fill: { value: 1 }, fill_interval: { seconds: 3_600 } },
          }),
        },
      },
      assignment: at(0),
    },
  ];
};

describePeers(
  ['envoy'],
  'the same access log on Envoy and on the proxy',
  (start) => {
    let planes: ScriptedPlanes;
    let hosts: BehavingHosts;
    let folder: string;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'isthmus-access-log-'));
      hosts = await startBehavingHosts(4);
      planes = await startScriptedPlanes(start);
      const dead = await deadPort();
      await planes.set(services(hosts, dead), ({ kind }) => ({
        use_remote_address: { value: true },
        preserve_external_request_id: true,
        access_log: logs(folder, kind),
        http_filters: [
          { name: 'limit', typed_config: packAny(RATE_LIMIT, { stat_prefix: 'none' }) },
          { name: 'fault', typed_config: packAny(FAULT, {}) },
          { name: 'router', typed_config: packAny(ROUTER, {}) },
        ],
      }));
      for (const plane of planes.planes) await askAll(plane, hosts);
    }, 120_000);
    afterAll(async () => {
      await planes?.stop();
      await hosts?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    const both = async (name: string, least: number, normal: (line: string, kind: string) => string) => {
      const read = async (kind: string) => {
        const lines = async () =>
          (await readFile(join(folder, `${kind}-${name}.log`), 'utf8').catch(() => ''))
            .split('\n')
            .filter((line) => line !== '' && !line.includes('is-routed'));
        await eventually(async () => (await lines()).length >= least, {
          withinMs: 30_000,
          what: `${least} lines of ${kind} in ${name}`,
        });
        return (await lines()).map((line) => normal(line, kind)).sort();
      };
      return { envoy: await read('envoy'), proxy: await read('proxy') };
    };

    it("in Envoy's default format", async () => {
      const { envoy, proxy } = await both('text', REQUESTS, plainLine);
      expect(envoy).toHaveLength(REQUESTS);
      expect(proxy).toEqual(envoy);
    });

    it('as JSON, with the reasons of every answer', async () => {
      const { envoy, proxy } = await both('json', REQUESTS, jsonLine);
      expect(proxy).toEqual(envoy);
    });

    it('of the requests that filters let through', async () => {
      const { envoy, proxy } = await both('filtered', 3, (line) => line);
      expect(envoy.length).toBeGreaterThan(3);
      expect(proxy).toEqual(envoy);
    });
  },
  [otherMachine()],
);

function logs(folder: string, kind: string): AccessLog[] {
  const file = (name: string, more: object, filter?: AccessLog['filter']): AccessLog => ({
    name,
    typed_config: packAny(FILE, { path: join(folder, `${kind}-${name}.log`), ...more }),
    ...(filter && { filter }),
  });
  const value = (n: number) => ({ default_value: n, runtime_key: 'none' });
  return [
    file('text', {}),
    file('json', { log_format: { json_format: struct(JSON_FORMAT) } }),
    file(
      'filtered',
      { log_format: { text_format_source: { inline_string: '%REQ(:AUTHORITY)% %RESPONSE_CODE%\n' } } },
      {
        or_filter: {
          filters: [
            {
              and_filter: {
                filters: [
                  { status_code_filter: { comparison: { op: 'GE', value: value(500) } } },
                  { duration_filter: { comparison: { op: 'LE', value: value(100_000) } } },
                ],
              },
            },
            { header_filter: { header: { name: 'x-long', present_match: true } } },
            { response_flag_filter: { flags: ['FI', 'RL'] } },
          ],
        },
      },
    ),
  ];
}

const REQUESTS = 17;

async function askAll(plane: ScriptedPlane, { hosts }: BehavingHosts): Promise<void> {
  const [plain, failing, cutting, hanging] = hosts;
  plain?.behave(answer(200, { 'x-answer': 'yes' }));
  failing?.behave(answer(503));
  cutting?.behave(cut);
  hanging?.behave(hang);
  await plane.probe('plain', { headers: { 'user-agent': 'one', 'x-long': 'abcdefgh' } });
  await plane.probe('plain', { method: 'POST', path: '/a?b=c', body: 'x'.repeat(1_234) });
  await plane.probe('plain', { headers: { 'x-request-id': '0f0f0f0f-1111-9222-8333-444444444444' } });
  await plane.probe('plain', { headers: { 'x-request-id': 'mine', 'x-forwarded-for': '10.1.1.1' } });
  await chunked(plane.port, 'plain');
  await plane.probe('rewritten', { path: '/old' });
  for (const name of ['failing', 'cutting', 'slow', 'dead', 'retried', 'empty', 'lost', 'aborted']) {
    await plane.probe(name);
  }
  await plane.probe('limited');
  await plane.probe('limited');
  await plane.probe('nowhere');
}

/** A body in chunks, of which only the payload counts. */
function chunked(port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = httpRequest(
      { host: '127.0.0.1', port, path: '/chunks', method: 'PUT', headers: { host } },
      (response) => {
        response.resume().on('end', resolve).on('error', reject);
      },
    );
    call.on('error', reject);
    call.write('12345');
    call.end('67890');
  });
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
const GIVEN = /0f0f0f0f/;
/** The first quoted field behind the times. */
const FORWARDED = /^"[^"]*"/;

/** Envoy names itself by an address of the machine where the caller is on loopback, and joins without a blank. */
const forwarded = (list: string): string => list.replace(/[\d.]+("?)$/, 'CALLER$1').replace(', ', ',');

/** Times and new ids as letters; the proxy ends its own texts with a line end, which counts. */
function plainLine(line: string, kind: string): string {
  const parts = /^\[(.*?)\] ("[^"]*" \d+ \S+ \d+) (\d+) (\d+) (\S+) (.*)$/.exec(line);
  if (!parts) return `not a line: ${line}`;
  const [, time = '', front = '', sent = '', , service = '', back = ''] = parts;
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const local = kind === 'proxy' && service === '-' && sent !== '0' ? 1 : 0;
  const bytes = / (NR|NC|UF) /.test(front) ? 'B' : Number(sent) - local;
  const ids = GIVEN.test(back) ? back : back.replace(UUID, 'ID');
  return `${front} ${bytes} ${service === '-' ? '-' : 'MS'} ${ids.replace(FORWARDED, forwarded)}`;
}

function jsonLine(line: string, kind: string): string {
  const fields = JSON.parse(line) as Record<string, string | number | null>;
  const keys = Object.keys(fields);
  expect(keys, 'keys in order').toEqual([...keys].sort((a, b) => (a < b ? -1 : 1)));
  const own = kind === 'proxy' && fields['details'] !== 'via_upstream' && Number(fields['sent']) > 0;
  if (own) fields['sent'] = Number(fields['sent']) - 1;
  // The texts are the proxy's own.
  if (/NR|NC|UF/.test(String(fields['flags']))) fields['sent'] = 0;
  fields['forwarded'] = forwarded(String(fields['forwarded']));
  const details = String(fields['details']);
  if (details.includes('remote_connection_failure')) fields['details'] = details.replace(/[|].*/, '|…}');
  return JSON.stringify(fields);
}
