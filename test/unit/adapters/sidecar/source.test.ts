// Sidecars as a source, against small servers that answer pings as a sidecar does, or as another one would.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { SidecarBook } from '../../../../adapters/sidecar/book.ts';
import { createSidecarSource } from '../../../../adapters/sidecar/index.ts';
import { sidecarSource } from '../../../../config/schema.ts';
import { systemClock } from '../../../../lib/clock.ts';
import type { DiscoveryUpdate } from '../../../../model/discovery.ts';
import type { AdmittedSidecar, Impostor, Registration } from '../../../../model/sidecars.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { createMetrics } from '../../../../telemetry/metrics.ts';
import { eventually } from '../../../support/eventually.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A sidecar of `service`, as the control plane configures it. @returns its port. */
async function startSidecar(service: string): Promise<number> {
  return (await startAnswering(() => service)).port;
}

/** @param nameOf whose it is at the moment; '' names nobody. */
async function startAnswering(nameOf: () => string) {
  const server = createServer((request, response) => {
    const service = nameOf();
    const asked = service === '' ? undefined : request.headers['x-isthmus-service'];
    if (asked !== undefined) response.setHeader('x-envoy-upstream-healthchecked-cluster', service);
    response.statusCode = asked === undefined || asked === service ? 200 : 421;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  closers.push(stop);
  return { port: (server.address() as AddressInfo).port, stop };
}

function session(node: string, port: number, over: Partial<Registration> = {}): AdmittedSidecar {
  const registration: Registration = {
    service: 'orders.default',
    address: '',
    port,
    appPort: 8_080,
    healthPath: '/health',
    protocol: 'http',
    labels: { version: 'v2' },
    weight: 20,
    locality: { region: 'eu', zone: 'a', subZone: '' },
    ...over,
  };
  return { node, peer: '127.0.0.1', address: '127.0.0.1', via: '', registration };
}

function start(grace = '200ms') {
  const config = sidecarSource.parse({ name: 'sidecars', kind: 'sidecar', grace });
  const book = new SidecarBook(systemClock);
  const impostors: Impostor[] = [];
  const lines: string[] = [];
  const deps = {
    clock: systemClock,
    log: createLogger('warn', { write: (line) => void lines.push(line) }),
    metrics: createMetrics(),
    sidecars: book,
    onImpostor: (impostor: Impostor) => impostors.push(impostor),
  };
  const controller = new AbortController();
  const updates: DiscoveryUpdate[] = [];
  const run = (async () => {
    for await (const update of createSidecarSource(config, deps).discover(controller.signal))
      updates.push(update);
  })();
  closers.push(async () => {
    controller.abort(new Error('test over'));
    await run;
  });
  /** Endpoints of orders as the last update that spoke of them says; undefined: not offered. */
  const orders = () => {
    const last = updates.findLast((u) => u.type !== 'alive' && u.type !== 'stale');
    if (last?.type === 'group') return last.group.endpoints;
    return last?.type === 'sync'
      ? last.groups.find((g) => g.service === 'orders.default')?.endpoints
      : undefined;
  };
  return { book, updates, orders, impostors, lines };
}

describe('sidecars as a source', () => {
  it('waits for those that come back, then lists who answered in the name of its service', async () => {
    const port = await startSidecar('orders.default');
    const { book, updates, orders } = start();
    book.open(session('a', port));
    await eventually(() => orders()?.length === 1);
    expect(updates[0]?.type).toBe('sync');
    expect(orders()).toMatchObject([
      {
        address: '127.0.0.1',
        port,
        weight: 20,
        health: 'unknown',
        locality: { region: 'eu', zone: 'a', subZone: '' },
        labels: {
          version: 'v2',
          'isthmus.dev/app-port': '8080',
          'isthmus.dev/health-path': '/health',
        },
      },
    ]);
  });

  it('with two under one node id lists the later one, says so, and the other one again when that is gone', async () => {
    const [first, second] = [await startSidecar('orders.default'), await startSidecar('orders.default')];
    const { book, orders, lines } = start();
    book.open(session('a', first));
    await eventually(() => orders()?.[0]?.port === first);
    const close = book.open(session('a', second));
    await eventually(() => orders()?.[0]?.port === second);
    expect(orders()).toHaveLength(1);
    expect(lines.filter((line) => line.includes('--node-id'))).toHaveLength(1);
    close('ended');
    await eventually(() => orders()?.[0]?.port === first);
    expect(orders()).toHaveLength(1);
  });

  it('of very many that come, or went, only so many are asked at once', async () => {
    let under = 0;
    let most = 0;
    let asked = 0;
    const server = createServer((_request, response) => {
      under += 1;
      asked += 1;
      most = Math.max(most, under);
      setTimeout(() => {
        under -= 1;
        response.setHeader('x-envoy-upstream-healthchecked-cluster', 'orders.default').end();
      }, 150);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const { book } = start('60s');
    const leave = Array.from({ length: 400 }, (_, n) => book.open(session(`n${n}`, port)));
    await eventually(() => asked >= 400 && under === 0, { withinMs: 60_000 });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(128);
    most = 0;
    for (const broken of leave) broken('broken');
    await eventually(() => asked >= 800, { withinMs: 60_000 });
    expect(most).toBeLessThanOrEqual(128);
  });

  it('does not list an address that belongs to another service, that is silent about it, or that is not there', async () => {
    const other = await startSidecar('carts.default');
    const plain = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      plain.close();
    });
    const good = await startSidecar('orders.default');
    const { book, updates, orders } = start();
    book.open(session('other', other));
    book.open(session('plain', (plain.address() as AddressInfo).port));
    book.open(session('nobody', 1));
    book.open(session('good', good));
    await eventually(() => updates.length > 0 && (orders()?.length ?? 0) > 0);
    expect(orders()?.map((e) => e.port)).toEqual([good]);
  });

  it('is as well as its app, for as long as that is said, and by nobody but itself', async () => {
    const port = await startSidecar('orders.default');
    const { book, orders } = start();
    book.open(session('a', port));
    await eventually(() => orders()?.length === 1);
    const health = () => orders()?.[0]?.health;
    const report = { node: 'a', peer: '127.0.0.1', health: 'unhealthy', validMs: 60_000 } as const;
    book.report({ ...report, node: 'b' });
    book.report({ ...report, peer: '10.0.0.1' });
    book.report({ ...report, health: 'degraded' });
    await eventually(() => health() === 'degraded');
    book.report(report);
    await eventually(() => health() === 'unhealthy');
    book.report({ ...report, health: 'healthy', validMs: 200 });
    await eventually(() => health() === 'healthy');
    await eventually(() => health() === 'unknown');
  });

  it('one that ends goes at once and on purpose; one that breaks off has its time of grace', async () => {
    const last = await startAnswering(() => 'orders.default');
    const ports = [await startSidecar('orders.default'), last.port];
    const { book, updates, orders } = start('500ms');
    const [first, second] = ports.map((port, i) => book.open(session(`n${i}`, port)));
    await eventually(() => orders()?.length === 2);
    first?.('ended');
    await eventually(() => orders()?.length === 1);
    expect(updates.findLast((u) => u.type === 'group')).toMatchObject({ intended: true });
    last.stop();
    second?.('broken');
    await eventually(() => updates.some((u) => u.type === 'gone'));
    const gone = updates.find((u) => u.type === 'gone');
    expect(gone).toEqual({ type: 'gone', service: 'orders.default' });
  });

  it.each([
    ['another service', 'carts.default', 'carts.default'],
    ['somebody without a name', '', ''],
  ])(
    '%s at the address of one that broke off takes it out at once, and is told of',
    async (_who, name, as) => {
      let service = 'orders.default';
      const { port } = await startAnswering(() => service);
      const { book, orders, impostors } = start('500ms');
      const leave = book.open(session('a', port));
      await eventually(() => orders()?.length === 1);
      service = name;
      leave('broken');
      await eventually(() => orders() === undefined && impostors.length > 0, { withinMs: 20_000 });
      expect(impostors[0]).toEqual({
        service: 'orders.default',
        address: '127.0.0.1',
        ports: [port, 8_080],
        answeredAs: as,
      });
      service = 'orders.default';
      await eventually(() => orders()?.length === 1, { withinMs: 20_000 });
    },
  );

  it('one that broke off stays as long as it answers in its name', async () => {
    const { port, stop } = await startAnswering(() => 'orders.default');
    const { book, updates, orders } = start('200ms');
    const leave = book.open(session('a', port));
    await eventually(() => orders()?.length === 1);
    leave('broken');
    await eventually(() => updates.some(({ type }) => type === 'alive'), { withinMs: 30_000 });
    expect(orders()).toHaveLength(1);
    stop();
    await eventually(() => orders() === undefined, { withinMs: 20_000 });
  });

  it('one that comes back in time was never away', async () => {
    const port = await startSidecar('orders.default');
    const { book, updates, orders } = start('300ms');
    book.open(session('a', port))('broken');
    book.open(session('a', port));
    await eventually(() => (orders()?.length ?? 0) === 1);
    const before = updates.filter((u) => u.type !== 'alive').length;
    book.open(session('b', await startSidecar('orders.default')));
    await eventually(() => (orders()?.length ?? 0) === 2);
    expect(updates.filter((u) => u.type !== 'alive')).toHaveLength(before + 1);
  });

  it('takes new labels and weights of a sidecar that connects anew', async () => {
    const port = await startSidecar('orders.default');
    const { book, orders } = start();
    const leave = book.open(session('a', port));
    await eventually(() => orders()?.length === 1);
    book.open(session('a', port, { weight: 5, labels: {} }));
    leave('broken');
    await eventually(() => orders()?.[0]?.weight === 5);
    expect(orders()).toHaveLength(1);
  });
});
