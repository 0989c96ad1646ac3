// What a ServicePolicy says reaches gRPC clients of two makes: a call that no server answers ends in its time, and
// balancers are those that each knows.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { createXdsServer } from '../../xds-server/server.ts';
import type { XdsServer } from '../../xds-server/server.ts';
import type { Backend } from '../support/backends.ts';
import type { TrafficRules } from '../../model/traffic.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startGrpcBackend } from '../support/grpc/backend.ts';
import { startGrpcCaller } from '../support/grpc/callers.ts';
import type { GrpcCaller, GrpcKind } from '../support/grpc/callers.ts';
import { service, snapshot } from '../unit/xds-server/services.ts';

const WITHIN = { withinMs: 60_000 };
const same = (bytes: Buffer): Buffer => bytes;

describePeers(['grpcio'], 'policies and gRPC', (start) => {
  let xds: XdsServer;
  const mute = new Server();
  const callers: GrpcCaller[] = [];
  const backends: Backend[] = [];
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
    for (const name of ['a', 'b', 'c']) backends.push(await startGrpcBackend(name));
    const at = backends.map((backend) => `${backend.address}:${backend.port}`);
    const balanced = (name: string, traffic: TrafficRules) => {
      const of = service(`${name}.default`, ...at);
      return { ...of, rules: { ...of.rules, traffic } };
    };
    xds.update(
      snapshot([
        { ...plain, rules: { ...plain.rules, traffic: { timeoutMs: 200 } } },
        balanced('least', { balancer: 'leastRequest' }),
        balanced('sticky', { balancer: { ringHash: { header: 'x-user' } } }),
      ]),
    );
    await xds.settled();
    xds.setReady(true);
    ({ port } = await xds.listen('127.0.0.1:0'));
  });
  afterAll(async () => {
    for (const caller of callers) await caller.stop();
    mute.forceShutdown();
    await Promise.all(backends.map((backend) => backend.stop()));
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

  const KINDS = ['grpc-js', 'grpcio'] as const satisfies readonly GrpcKind[];
  const call = async (kind: GrpcKind, name: string, users: number): Promise<ReadonlyMap<string, number>> => {
    const caller = await startGrpcCaller(kind, start, {
      target: `xds:///${name}`,
      nodeId: `${kind}-${name}`,
      xdsPort: port,
      rate: 200,
      users,
    });
    callers.push(caller);
    await eventually(async () => (await caller.refresh(), caller.good() >= 300), WITHIN);
    expect(caller.failures()).toEqual([]);
    const states = xds.proxies().find(({ node }) => node === `${kind}-${name}`)?.types;
    expect(states?.['cds']?.state).toBe('SYNCED');
    const answers = caller.answers();
    await caller.stop();
    return answers;
  };

  it.each(KINDS)(
    '%s: a ring keeps each user at one backend, and several users at several',
    { timeout: 120_000 },
    async (kind) => {
      const answers = await call(kind, 'sticky', 20);
      const backendOf = new Map<string, Set<string>>();
      for (const key of answers.keys()) {
        const [user = '', backend = ''] = key.split('/');
        backendOf.set(user, (backendOf.get(user) ?? new Set()).add(backend));
      }
      expect(backendOf.size).toBe(20);
      expect([...backendOf].filter(([, of]) => of.size > 1)).toEqual([]);
      expect(new Set([...backendOf.values()].flatMap((of) => [...of])).size).toBeGreaterThan(1);
    },
  );

  it.each(KINDS)(
    '%s: least request is taken by who does not know it as round robin',
    { timeout: 120_000 },
    async (kind) => {
      const answers = await call(kind, 'least', 0);
      expect([...answers.keys()].sort()).toEqual(['a', 'b', 'c']);
      // In turn, but for the first calls, when not all were connected.
      expect(Math.min(...answers.values())).toBeGreaterThan(50);
    },
  );
});
