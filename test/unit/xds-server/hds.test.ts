// X15 of docs/xds.md: data planes check endpoints for the control plane. Over a real socket; with a true Envoy
// in test/real/hds.test.ts.
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../lib/clock.ts';
import { assign, targetKey } from '../../../xds-server/hds/assign.ts';
import type { HealthTarget } from '../../../xds-server/hds/assign.ts';
import type { HealthReport } from '../../../xds-server/hds/service.ts';
import { eventually } from '../../support/eventually.ts';
import { startServer } from './running.ts';
import type { Message, RawStream, Running } from './running.ts';

const target = (n: number, more: Partial<HealthTarget> = {}): HealthTarget => ({
  service: 'orders.default',
  address: `10.0.0.${n}`,
  port: 8080,
  how: 'http',
  path: '/health',
  ...more,
});

const checker = (running: Running, id = 'envoy-1'): RawStream =>
  running
    .stream(
      '/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck',
      'envoy.service.health.v3.HealthCheckRequestOrEndpointHealthResponse',
      'envoy.service.health.v3.HealthCheckSpecifier',
    )
    .send({
      health_check_request: { node: { id }, capability: { health_check_protocols: ['HTTP', 'TCP'] } },
    });

const found = (address: string, health: string, service = 'orders.default') => ({
  endpoint_health_response: {
    cluster_endpoints_health: [
      {
        cluster_name: service,
        locality_endpoints_health: [
          {
            endpoints_health: [
              {
                endpoint: { address: { socket_address: { address, port_value: 8080 } } },
                health_status: health,
              },
            ],
          },
        ],
      },
    ],
  },
});

interface Asked {
  readonly cluster_name: string;
  readonly locality_endpoints: readonly {
    readonly endpoints: readonly {
      readonly address: { readonly socket_address: { readonly address: string } };
    }[];
  }[];
}

const addresses = (message: Message) =>
  ((message.cluster_health_checks ?? []) as readonly Asked[]).flatMap((cluster) =>
    cluster.locality_endpoints.flatMap(({ endpoints }) =>
      endpoints.map((e) => e.address.socket_address.address),
    ),
  );

describe('X15: what data planes are asked', () => {
  it('nothing before there is something to check; then whom, how and how often', async () => {
    const running = await startServer([]);
    const client = checker(running);
    await eventually(async () => (await running.metrics.hds.checkers.get()).values[0]?.value === 1, {
      everyMs: 5,
    });
    expect(client.waiting).toBe(0);
    running.server.setHealthChecks([target(1), target(2, { how: 'tcp', service: 'db.default' })]);
    const message = await client.next();
    expect(message).toMatchObject({
      interval: { seconds: '5' },
      cluster_health_checks: [
        {
          cluster_name: 'orders.default',
          health_checks: [
            {
              unhealthy_threshold: { value: 3 },
              http_health_check: {
                path: '/health',
                service_name_matcher: { exact: 'orders.default' },
                request_headers_to_add: [{ header: { key: 'x-isthmus-service', value: 'orders.default' } }],
              },
            },
          ],
        },
        { cluster_name: 'tcp:db.default', health_checks: [{ tcp_health_check: {} }] },
      ],
    });
  });

  it('only what changed is said again; nothing to check any more is said, too', async () => {
    const running = await startServer([]);
    running.server.setHealthChecks([target(1)]);
    const client = checker(running);
    expect(addresses(await client.next())).toEqual(['10.0.0.1']);
    running.server.setHealthChecks([target(1)]);
    running.server.setHealthChecks([target(2), target(1)]);
    expect(addresses(await client.next())).toEqual(['10.0.0.1', '10.0.0.2']);
    running.server.setHealthChecks([]);
    expect(addresses(await client.next())).toEqual([]);
  });

  it('nothing is made anew for a node whose work did not change', async () => {
    let made = 0;
    const counting: HealthTarget = {
      ...target(1),
      get path() {
        made += 1;
        return '/health';
      },
    };
    const running = await startServer([], { healthChecks: { checkers: 8 } });
    running.server.setHealthChecks([counting]);
    made = 0;
    await checker(running, 'a').next();
    const forOne = made;
    expect(forOne).toBeGreaterThan(0);
    for (const id of ['b', 'c', 'd']) await checker(running, id).next();
    expect(made).toBe(4 * forOne);
  });

  it('an endpoint has two checkers; when one goes, another takes over', async () => {
    const running = await startServer([]);
    running.server.setHealthChecks([target(1)]);
    const clients = ['a', 'b', 'c'].map((id) => ({ id, stream: checker(running, id) }));
    const checkers = async () => (await running.metrics.hds.checkers.get()).values[0]?.value;
    await eventually(async () => (await checkers()) === 3, { everyMs: 5 });
    const nodes = assign([target(1)], ['a', 'b', 'c'], 2);
    const idle = clients.find(({ id }) => nodes.get(id)?.length === 0);
    const busy = clients.filter((client) => client !== idle);
    expect(busy).toHaveLength(2);
    busy[0]?.stream.kill();
    await eventually(async () => (await checkers()) === 2, { everyMs: 5 });
    // Whatever it was asked while the others were not there yet, in the end it checks.
    let last: Message = {};
    await eventually(async () => {
      if ((idle?.stream.waiting ?? 0) > 0) last = (await idle?.stream.next()) ?? {};
      return addresses(last).length === 1;
    });
  });

  it('each endpoint has as many checkers as there can be, and a node that goes moves only its own', () => {
    const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(
        names,
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 20 }),
        (nodes, checkers, count) => {
          const targets = Array.from({ length: count }, (_, n) => target(n));
          const keysOf = (of: readonly string[], node: string) =>
            new Set((assign(targets, of, checkers).get(node) ?? []).map(targetKey));
          const all = nodes.reduce((sum, node) => sum + keysOf(nodes, node).size, 0);
          expect(all).toBe(count * Math.min(checkers, nodes.length));
          const rest = nodes.slice(1);
          for (const node of rest) {
            const after = keysOf(rest, node);
            for (const key of keysOf(nodes, node)) expect(after.has(key)).toBe(true);
          }
        },
      ),
    );
  });
});

describe('X15: what data planes find', () => {
  it('is told per endpoint and node; failures not before a first check can be over', async () => {
    const reports: HealthReport[] = [];
    const clock = new ManualClock();
    const running = await startServer([], { clock, onHealth: (report) => void reports.push(report) });
    running.server.setHealthChecks([target(1), target(2)]);
    const client = checker(running);
    await client.next();
    client.send(found('10.0.0.2', 'UNHEALTHY')).send(found('10.0.0.1', 'HEALTHY'));
    await eventually(() => reports.length === 1, { everyMs: 5 });
    clock.advance(20_000);
    client.send(found('10.0.0.2', 'UNHEALTHY')).send(found('10.0.0.1', 'TIMEOUT'));
    await eventually(() => reports.length === 3, { everyMs: 5 });
    expect(reports).toEqual(
      [
        ['10.0.0.1', 'healthy'],
        ['10.0.0.2', 'unhealthy'],
        ['10.0.0.1', 'timeout'],
      ].map(([address, health]) => ({
        node: 'envoy-1',
        service: 'orders.default',
        address,
        port: 8080,
        how: 'http',
        health,
      })),
    );
  });

  it('nobody is believed about what it was not asked', async () => {
    const reports: HealthReport[] = [];
    const running = await startServer([], { onHealth: (report) => void reports.push(report) });
    running.server.setHealthChecks([target(1)]);
    const client = checker(running);
    await client.next();
    client
      .send(found('10.0.0.9', 'HEALTHY'))
      .send(found('10.0.0.1', 'HEALTHY', 'users.default'))
      .send(found('10.0.0.1', 'DRAINING'))
      .send(found('10.0.0.1', 'HEALTHY'));
    await eventually(() => reports.length > 0, { everyMs: 5 });
    expect(reports.map((r) => [r.service, r.address])).toEqual([['orders.default', '10.0.0.1']]);
  });

  it.each([
    ['a report before the request', found('10.0.0.1', 'HEALTHY')],
    ['a node without id', { health_check_request: { node: {} } }],
  ])('%s ends the call', async (_what, first) => {
    const running = await startServer([]);
    const stream = running.stream(
      '/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck',
      'envoy.service.health.v3.HealthCheckRequestOrEndpointHealthResponse',
      'envoy.service.health.v3.HealthCheckSpecifier',
    );
    expect((await stream.send(first).ended).code).toBe(status.INVALID_ARGUMENT);
  });
});
