// Access logs over a real socket: what is taken from them, and what hostile ones cannot do.
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { percentileMs } from '../../../model/latency.ts';
import { encode } from '../../../proto/codec.ts';
import { readAccessLog } from '../../../xds-server/als/read.ts';
import { eventually } from '../../support/eventually.ts';
import { NODE } from '../../support/xds-messages.ts';
import { startServer } from './running.ts';
import type { Running } from './running.ts';
import { service } from './services.ts';

const ORDERS = 'orders.default';
const MESSAGE = 'envoy.service.accesslog.v3.StreamAccessLogsMessage';
const orders = service(ORDERS, '10.0.0.1:80', '[2001:db8::1]:80');
const identifier = { node: NODE, log_name: 'isthmus' };

const logger = (running: Running) =>
  running.stream(
    '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
    MESSAGE,
    'envoy.service.accesslog.v3.StreamAccessLogsResponse',
  );

const ms = (value: number) => ({
  seconds: Math.trunc(value / 1000),
  nanos: Math.round((value % 1000) * 1e6),
});

interface Request {
  readonly at?: string;
  readonly port?: number;
  readonly cluster?: string;
  readonly sent?: number;
  readonly heard?: number;
  readonly more?: object;
}

const entry = ({ at = '10.0.0.1', port = 80, cluster = ORDERS, sent = 1, heard, more }: Request) => ({
  common_properties: {
    upstream_cluster: cluster,
    upstream_remote_address: { socket_address: { address: at, port_value: port } },
    time_to_first_upstream_tx_byte: ms(sent),
    ...(heard !== undefined && { time_to_first_upstream_rx_byte: ms(heard) }),
    upstream_wire_bytes_sent: '123456789012345',
    ...more,
  },
  request: { path: '/secret?token=x', request_headers: { a: 'b' } },
  response: { response_code: { value: 200 } },
});
const logs = (...requests: readonly Request[]) => ({ http_logs: { log_entry: requests.map(entry) } });

const latency = (running: Running) => running.server.load.rows({ windowMs: 60_000 })[0]?.latency;
const counted = async (running: Running, outcome: string) =>
  (await running.metrics.registry.getSingleMetricAsString('isthmus_access_log_entries_total'))
    .split('\n')
    .find((line) => line.includes(`"${outcome}"`))
    ?.split(' ')[1];

it('times requests from the first byte sent to the first byte heard, weighed by the sample', async () => {
  const running = await startServer([orders], { accessLogSamplePercent: 25 });
  const client = logger(running).send({ identifier, ...logs({ sent: 3, heard: 23 }) });
  client.send(logs({ sent: 1_500, heard: 1_520 }, { at: '2001:db8:0::1', heard: 21 }));
  const told = await eventually(() => latency(running)?.samples === 3 && latency(running));
  expect(told.counts.reduce((sum, count) => sum + count, 0)).toBe(12);
  expect(told.reporters).toBe(1);
  expect(percentileMs(told, 0.99)).toBeGreaterThan(19);
  expect(percentileMs(told, 0.99)).toBeLessThan(21);
});

it('a request that was given up took as long as it was waited for; one that failed at once is not timed', async () => {
  const running = await startServer([orders], { accessLogSamplePercent: 100 });
  const late = { duration: ms(2_001), response_flags: { upstream_request_timeout: true } };
  const failed = { duration: ms(2), response_flags: { upstream_connection_failure: true } };
  logger(running).send({
    identifier,
    ...logs({ more: late }, { more: failed }, { heard: 2, more: { intermediate_log_entry: true } }),
  });
  const told = await eventually(() => latency(running));
  expect(told.samples).toBe(1);
  expect(Math.abs((percentileMs(told, 0.5) ?? 0) - 2_000)).toBeLessThan(64);
});

it('addresses and clusters that nobody was told of count for nothing; those that have just left still count', async () => {
  const running = await startServer([orders]);
  const client = logger(running).send({ identifier, ...logs({ heard: 2 }) });
  await eventually(() => latency(running)?.samples === 1);
  client.send(
    logs({ at: '10.9.9.9', heard: 2 }, { cluster: 'carts.default', heard: 2 }, { port: 81, heard: 2 }),
  );
  await eventually(async () => (await counted(running, 'unused')) === '3');
  running.update(service(ORDERS, '10.0.0.7:80'));
  // The new assignment is read a second after the old one at the earliest.
  await eventually(async () => {
    client.send(logs({ at: '10.0.0.7', heard: 2 }));
    return (latency(running)?.samples ?? 0) > 1;
  });
  const before = latency(running)?.samples ?? 0;
  client.send(logs({ heard: 2 }));
  await eventually(() => (latency(running)?.samples ?? 0) > before);
});

it('answers when the client has said all', async () => {
  const running = await startServer([orders]);
  const client = logger(running).send({ identifier }).end();
  expect(await client.next()).toEqual({});
  expect((await client.ended).code).toBe(status.OK);
});

it.each([
  ['no node', encode(MESSAGE, logs({ heard: 2 }))],
  ['cut', encode(MESSAGE, { identifier, ...logs({ heard: 2 }) }).subarray(0, -3)],
  ['garbage', Buffer.from('not a message at all')],
])('%s ends the call and nothing else', async (_, bytes) => {
  const running = await startServer([orders]);
  expect((await logger(running).sendBytes(bytes).ended).code).toBe(status.INVALID_ARGUMENT);
  logger(running).send({ identifier, ...logs({ heard: 2 }) });
  await eventually(() => latency(running)?.samples === 1);
});

it('more entries than can be read in a second are stepped over, and counted', async () => {
  const running = await startServer([orders]);
  const many = logs(...Array.from({ length: 10_000 }, () => ({ heard: 2 })));
  const client = logger(running).send({ identifier });
  for (let n = 0; n < 5; n += 1) client.send(many);
  await eventually(async () => {
    const [used, skipped] = [await counted(running, 'used'), await counted(running, 'skipped')];
    return Number(used) + Number(skipped) === 50_000 && Number(skipped) > 0;
  });
});

it('property: bytes of any kind are read or refused, and never taken for much', () => {
  const whole = encode(MESSAGE, { identifier, ...logs({ heard: 2 }, { heard: 9, at: '2001:db8::1' }) });
  const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 5 }), fc.nat(whole.length), (changes, length) => {
      const bytes = Buffer.from(whole);
      for (const [at, byte] of changes) bytes[at] = byte;
      let entries = 0;
      try {
        readAccessLog(
          bytes.subarray(0, length),
          () => (entries += 1),
          () => true,
        );
      } catch (thrown) {
        expect(thrown).toMatchObject({ code: 'ISTHMUS_XDS_ACCESS_LOG_INVALID' });
      }
      expect(entries).toBeLessThan(whole.length);
    }),
  );
});
