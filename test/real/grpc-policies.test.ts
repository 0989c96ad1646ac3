// What a ServicePolicy says reaches gRPC clients of two makes: a call that no server answers ends in its time.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { createXdsServer } from '../../xds-server/server.ts';
import type { XdsServer } from '../../xds-server/server.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startGrpcCaller } from '../support/grpc/callers.ts';
import type { GrpcCaller, GrpcKind } from '../support/grpc/callers.ts';
import { service, snapshot } from '../unit/xds-server/services.ts';

const WITHIN = { withinMs: 60_000 };
const same = (bytes: Buffer): Buffer => bytes;

describePeers(['grpcio'], 'policies and gRPC', (start) => {
  let xds: XdsServer;
  const mute = new Server();
  const callers: GrpcCaller[] = [];
  let port = 0;

  beforeAll(async () => {
    const Ask = {
      path: '/isthmus.test.Who/Ask',
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    };
    mute.addService({ Ask }, { Ask: () => undefined });
    const mutePort = await new Promise<number>((resolve, reject) => {
      mute.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    xds = createXdsServer({ log: createLogger('silent'), clock: systemClock, metrics: createMetrics() });
    const plain = service('mute.default', `127.0.0.1:${mutePort}`);
    xds.update(snapshot([{ ...plain, rules: { ...plain.rules, traffic: { timeoutMs: 200 } } }]));
    await xds.settled();
    xds.setReady(true);
    ({ port } = await xds.listen('127.0.0.1:0'));
  });
  afterAll(async () => {
    for (const caller of callers) await caller.stop();
    mute.forceShutdown();
    await xds?.close({ drainMs: 1_000 });
  });

  it.each(['grpc-js', 'grpcio'] satisfies GrpcKind[])('%s: timeout', { timeout: 120_000 }, async (kind) => {
    const caller = await startGrpcCaller(kind, start, {
      target: 'xds:///mute',
      nodeId: `${kind}-mute`,
      xdsPort: port,
      rate: 5,
    });
    callers.push(caller);
    // One call after the other, and each alone would last for 10 s: six failures in this time at most.
    await eventually(async () => (await caller.refresh(), caller.failures().length >= 10), WITHIN);
    expect(caller.failures().join()).toMatch(/deadline/i);
  });
});
