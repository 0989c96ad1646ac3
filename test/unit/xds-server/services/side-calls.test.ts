// Calls of the services beside discovery: what a client that takes no answers may cost.
import { connect } from 'node:http2';
import { Client, Metadata, Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { createLogger } from '../../../../telemetry/logger.ts';
import { createMetrics } from '../../../../telemetry/metrics.ts';
import { plaintextCaller } from '../../../../xds-server/security/caller.ts';
import { SideCalls, addService } from '../../../../xds-server/services/side-calls.ts';
import type { SideService } from '../../../../xds-server/services/side-calls.ts';
import { eventually } from '../../../support/eventually.ts';

const same = (bytes: Buffer): Buffer => bytes;
const REQUESTS = 2_000;
const ANSWER = Buffer.alloc(4096);

it('a client that does not take its answers is not listened to, until it does', async () => {
  const server = new Server();
  let received = 0;
  const echo: SideService = {
    stream: 'Echo',
    handle: (call) => ({
      receive() {
        received += 1;
        call.send(ANSWER);
      },
    }),
    unary: { Ping: () => Buffer.alloc(0) },
  };
  addService(
    server,
    new SideCalls(createLogger('silent'), createMetrics()),
    'test.Echo',
    echo,
    plaintextCaller,
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } });
  const stream = session.request({
    ':method': 'POST',
    ':path': '/test.Echo/Echo',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined);
  // Each frame is an empty message.
  for (let i = 0; i < REQUESTS; i += 1) stream.write(Buffer.alloc(5));
  await eventually(async () => received > 0);
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const ping = () =>
    new Promise<void>((resolve, reject) => {
      client.makeUnaryRequest('/test.Echo/Ping', same, same, Buffer.alloc(0), new Metadata(), (error) =>
        error ? reject(error) : resolve(),
      );
    });
  // Until nothing more is read of it, while others are answered.
  for (let before = 0; before !== received; ) {
    before = received;
    for (let i = 0; i < 50; i += 1) await ping();
  }
  expect(received).toBeLessThan(REQUESTS);
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
  session.settings({ initialWindowSize: 1 << 20 });
  await eventually(async () => bytes === REQUESTS * (5 + ANSWER.length));
  expect(received).toBe(REQUESTS);
  stream.close();
  session.destroy();
  client.close();
  server.forceShutdown();
});
