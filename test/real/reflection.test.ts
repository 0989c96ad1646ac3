// T13 of docs/xds.md with a client that nobody here wrote: gRPC's reflection client for Python learns all services and
// types from the server alone, and makes a call with them.
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { createXdsServer } from '../../xds-server/server.ts';
import type { XdsServer } from '../../xds-server/server.ts';
import { describePeers } from '../support/describe-peer.ts';
import { readFileSync } from 'node:fs';
import { XdsRawClient } from '../support/xds-raw-client.ts';
import { NODE } from '../support/xds-messages.ts';
import { service, snapshot } from '../unit/xds-server/services.ts';

const PROGRAM = readFileSync(new URL('../support/grpc/reflect.py', import.meta.url), 'utf8');

interface Learned {
  readonly services: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly status: { readonly config?: readonly { readonly node?: { readonly id?: string } }[] };
  readonly cluster: object;
}

describePeers(['grpcio'], 'reflection', (start) => {
  let xds: XdsServer;
  let client: XdsRawClient | undefined;
  let port = 0;

  beforeAll(async () => {
    xds = createXdsServer({ log: createLogger('silent'), clock: systemClock, metrics: createMetrics() });
    xds.update(snapshot([service('orders.default', '127.0.0.1:1')]));
    await xds.settled();
    xds.setReady(true);
    ({ port } = await xds.listen('127.0.0.1:0'));
  });
  afterAll(async () => {
    client?.kill();
    await xds?.close({ drainMs: 1_000 });
  });

  it('T13: a client learns services and types from the server alone', { timeout: 120_000 }, async () => {
    client = new XdsRawClient(port, 'delta', NODE);
    await client.send('cds').take('cds');
    const peer = await start('grpcio', { files: { 'client.py': PROGRAM }, args: [`127.0.0.1:${port}`] });
    const { answers } = (await (await fetch(peer.url)).json()) as { readonly answers: Learned };
    const discovery = 'envoy.service.discovery.v3';
    expect(answers.services[`${discovery}.AggregatedDiscoveryService`]).toEqual({
      StreamAggregatedResources: [`${discovery}.DiscoveryRequest`, `${discovery}.DiscoveryResponse`],
      DeltaAggregatedResources: [`${discovery}.DeltaDiscoveryRequest`, `${discovery}.DeltaDiscoveryResponse`],
    });
    expect(Object.keys(answers.services)).toContain('grpc.reflection.v1.ServerReflection');
    expect(answers.services['grpc.health.v1.Health']).toHaveProperty('Check');
    expect(answers.status.config?.map(({ node }) => node?.id)).toEqual([NODE.id]);
    expect(answers.cluster).toEqual({ name: 'orders', type: 'EDS', connectTimeout: '5s' });
  });
});
