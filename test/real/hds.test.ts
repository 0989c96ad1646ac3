// A true Envoy checks endpoints for the control plane (HDS): of what a source no longer lists, it tells who still
// lives, who does so in its own name, and who is gone.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server as TcpServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import type { HealthReport } from '../../xds-server/hds/service.ts';
import { createXdsServer } from '../../xds-server/server.ts';
import type { XdsServer } from '../../xds-server/server.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';

const WITHIN = { withinMs: 60_000 };
const SERVICE = 'orders.default';

describePeers(['envoy'], 'health checks by a data plane', (start) => {
  let server: XdsServer;
  let plane: DataPlane;
  const reports: HealthReport[] = [];
  const open: (Server | TcpServer)[] = [];
  const asked: string[] = [];

  /** @param name whom it says it is; as a sidecar does, it says so in a header. */
  const listen = async (name: string): Promise<number> => {
    const app = createServer((request, response) => {
      asked.push(
        `${request.url ?? ''} ${String(request.headers['x-isthmus-service'])} ${request.headers.host ?? ''}`,
      );
      response.setHeader('x-envoy-upstream-healthchecked-cluster', name);
      response.end();
    });
    open.push(app);
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', () => resolve()));
    return (app.address() as AddressInfo).port;
  };

  const last = (port: number, how: HealthReport['how']) =>
    reports.findLast((report) => report.port === port && report.how === how)?.health;

  beforeAll(async () => {
    server = createXdsServer({
      log: createLogger('silent'),
      clock: systemClock,
      metrics: createMetrics(),
      healthChecks: { intervalMs: 500, timeoutMs: 250, fall: 2 },
      onHealth: (report) => void reports.push(report),
    });
    server.setReady(true);
    const { port } = await server.listen('127.0.0.1:0');
    plane = await startDataPlane('envoy', start, { xdsPort: port, service: 'caller' });
  });
  afterAll(async () => {
    await plane?.stop();
    await server?.close({ drainMs: 1_000 });
    for (const one of open) one.close();
  });

  it('X15: tells who lives in its own name, who in another, and who is gone; and follows', async () => {
    const [own, other] = [await listen(SERVICE), await listen('users.default')];
    const gone = await new Promise<number>((resolve) => {
      const probe = createTcpServer().listen(0, '127.0.0.1', () => {
        const { port } = probe.address() as AddressInfo;
        probe.close(() => resolve(port));
      });
    });
    const target = { service: SERVICE, address: '127.0.0.1', path: '/who' } as const;
    const both = [own, other, gone].flatMap((port) => [
      { ...target, port, how: 'http' as const },
      { ...target, port, how: 'tcp' as const },
    ]);
    server.setHealthChecks(both);
    const wanted = ['healthy', 'unhealthy', 'unhealthy', 'unhealthy', 'healthy', 'healthy'];
    const told = () => [
      last(own, 'http'),
      last(other, 'http'),
      last(gone, 'http'),
      last(gone, 'tcp'),
      last(own, 'tcp'),
      last(other, 'tcp'),
    ];
    await eventually(() => told().join() === wanted.join(), WITHIN);
    expect(asked).toContain(`/who ${SERVICE} ${SERVICE}`);
    expect(new Set(reports.map(({ node }) => node))).toEqual(new Set([plane.nodeId]));

    // One is taken out of the checks, another one dies.
    server.setHealthChecks(both.filter(({ port }) => port !== other));
    const dying = open.shift();
    if (dying && 'closeAllConnections' in dying) dying.closeAllConnections();
    dying?.close();
    await eventually(() => last(own, 'tcp') === 'unhealthy' && last(own, 'http') === 'unhealthy', WITHIN);
    const seen = reports.length;
    await eventually(() => reports.length > seen + 4, WITHIN);
    expect(reports.slice(seen).some(({ port }) => port === other)).toBe(false);
  });
});
