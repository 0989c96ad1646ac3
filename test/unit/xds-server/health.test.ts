// T13 of docs/xds.md: health checks beside xDS, over a real socket, read by grpc-js as any client would.
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { ManualClock } from '../../../lib/clock.ts';
import { decode } from '../../../proto/codec.ts';
import type { HealthListResponse__Output } from '../../../proto/gen/types/grpc/health/v1/HealthListResponse.ts';
import { DISCOVERY_SERVICES } from '../../../xds-server/services/paths.ts';
import { textField } from '../../../xds-server/wire/writer.ts';
import { startServer } from './running.ts';
import { service } from './services.ts';

const orders = service('orders.default', '10.0.0.1:80');
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
const same = (bytes: Buffer): Buffer => bytes;

async function withClient<T>(port: number, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

const check = (port: number, name: string) =>
  withClient(
    port,
    (client) =>
      new Promise<number | undefined>((resolve, reject) => {
        const done = (error: ServiceError | null, answer?: Buffer) =>
          answer ? resolve(answer[1]) : reject(error ?? new Error('no answer'));
        const request = name === '' ? Buffer.alloc(0) : textField(1, name);
        client.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, request, new Metadata(), done);
      }),
  );

it('T13: the server and each of its services are healthy once sources answered', async () => {
  const { port } = await startServer([orders]);
  for (const name of ['', 'grpc.health.v1.Health', ...DISCOVERY_SERVICES.map((one) => one.service)]) {
    expect([name, await check(port, name)]).toEqual([name, SERVING]);
  }
  await expect(check(port, 'no.such.Service')).rejects.toMatchObject({ code: status.NOT_FOUND });
});

it('T13: all services and their health in one list', async () => {
  const { port } = await startServer([orders]);
  const call = '/grpc.health.v1.Health/List';
  const bytes = await withClient(
    port,
    (client) =>
      new Promise<Buffer>((resolve, reject) => {
        client.makeUnaryRequest(call, same, same, Buffer.alloc(0), new Metadata(), (error, answer) =>
          answer ? resolve(answer) : reject(error ?? new Error('no answer')),
        );
      }),
  );
  const { statuses } = decode<HealthListResponse__Output>('grpc.health.v1.HealthListResponse', bytes);
  expect(statuses?.['']).toEqual({ status: 'SERVING' });
  for (const { service: name } of DISCOVERY_SERVICES) expect(statuses?.[name]).toEqual({ status: 'SERVING' });
});

it('T13: a watch is told at once and at every change; a probe is no xDS client', async () => {
  const clock = new ManualClock();
  const running = await startServer([orders], { clock, startupTimeoutMs: 5_000 }, { ready: false });
  await withClient(running.port, async (client) => {
    const statuses: (number | undefined)[] = [];
    let wake: () => void = () => undefined;
    const call = client.makeServerStreamRequest(
      '/grpc.health.v1.Health/Watch',
      same,
      same,
      Buffer.alloc(0),
      new Metadata(),
    );
    call.on('data', (answer: Buffer) => {
      statuses.push(answer[1]);
      wake();
    });
    const ended = new Promise<{ code: number }>((resolve) => {
      call.on('error', (error: ServiceError) => resolve(error));
    });
    const told = async (count: number) => {
      while (statuses.length < count) await new Promise<void>((resolve) => (wake = resolve));
      return statuses.at(-1);
    };
    expect(await told(1)).toBe(NOT_SERVING);
    expect(await check(running.port, '')).toBe(NOT_SERVING);
    clock.advance(5_000);
    expect(await told(2)).toBe(SERVING);
    running.server.setReady(true);
    expect(running.server.proxies()).toEqual([]);
    const closing = running.server.close({ drainMs: 5_000 });
    expect(await told(3)).toBe(NOT_SERVING);
    expect((await ended).code).toBe(status.UNAVAILABLE);
    clock.advance(5_000);
    await closing;
  });
});

it('T13: a service that is not known is watched, not refused; garbage is', async () => {
  const { port } = await startServer([orders]);
  await withClient(port, async (client) => {
    const watch = (bytes: Buffer) =>
      client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', same, same, bytes, new Metadata());
    const call = watch(textField(1, 'later.Service'));
    call.on('error', () => undefined);
    const first = await new Promise<Buffer>((resolve) => call.once('data', resolve));
    expect(first[1]).toBe(SERVICE_UNKNOWN);
    call.cancel();
    const bad = watch(Buffer.from([0x0a, 0xff]));
    const error = await new Promise<ServiceError>((resolve) => bad.once('error', resolve));
    expect(error.code).toBe(status.INVALID_ARGUMENT);
  });
});
