// One ping against real listeners: what each kind of answer proves.
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ping, verdictOf } from '../../../../adapters/ping.ts';
import type { PingTarget } from '../../../../adapters/ping.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { eventually } from '../../../support/eventually.ts';
import { startNamedApp } from '../../../support/named-app.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const target = (port: number, more: Partial<PingTarget> = {}): PingTarget => ({
  address: '127.0.0.1',
  port,
  how: 'http',
  path: '/healthz',
  service: 'orders.default',
  aliases: ['orders'],
  ...more,
});
const ask = (port: number, more: Partial<PingTarget> = {}, timeoutMs = 20_000) =>
  ping(target(port, more), timeoutMs, systemClock, new AbortController().signal);

async function app(service: string) {
  const started = await startNamedApp(service);
  closers.push(() => started.stop());
  return started;
}

/** A server that does with each connection what it is told. */
async function listen(onConnection: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket.on('error', () => undefined));
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    for (const socket of open) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { port: (server.address() as AddressInfo).port, server };
}

describe('a ping', () => {
  it('says for whom it asks, and leaves no connection', async () => {
    const orders = await app('orders.default');
    expect(await ask(orders.port)).toEqual({ verdict: { kind: 'alive' }, cause: '' });
    expect(orders.requests).toMatchObject([
      { path: '/healthz', headers: { host: 'orders.default', 'x-isthmus-service': 'orders.default' } },
    ]);
    await eventually(async () => (await orders.connections()) === 0);
  });

  it('meets another service', async () => {
    const carts = await app('carts.default');
    expect((await ask(carts.port))?.verdict).toEqual({ kind: 'answeredAs', service: 'carts.default' });
  });

  it('meets an application that names nobody', async () => {
    const plain = await app('');
    expect((await ask(plain.port))?.verdict).toEqual({ kind: 'unproven' });
  });

  it('meets nobody', async () => {
    const gone = await startNamedApp('orders.default');
    await gone.stop();
    expect(await ask(gone.port)).toEqual({ verdict: { kind: 'refused' }, cause: 'ECONNREFUSED' });
  });

  it('meets somebody who takes connections and says nothing', async () => {
    const { port } = await listen(() => undefined);
    expect(await ask(port, {}, 100)).toEqual({
      verdict: { kind: 'refused' },
      cause: 'no answer within 0.1 s',
    });
  });

  it('meets somebody who hangs up', async () => {
    const { port } = await listen((socket) => socket.end());
    expect((await ask(port))?.verdict).toEqual({ kind: 'refused' });
  });

  it('meets somebody who speaks otherwise: alive, without a name', async () => {
    const { port } = await listen((socket) => socket.end('SSH-2.0-nothing\r\n'));
    expect((await ask(port))?.verdict).toEqual({ kind: 'unproven' });
  });

  it('reads no long body, and lets go of an endless one', async () => {
    const { port } = await listen((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 900000000\r\n\r\n');
      socket.write(Buffer.alloc(1_000_000));
    });
    expect((await ask(port))?.verdict).toEqual({ kind: 'unproven' });
  });

  it('of a service without HTTP asks for a connection alone', async () => {
    const { port } = await listen(() => undefined);
    expect((await ask(port, { how: 'connect' }))?.verdict).toEqual({ kind: 'unproven' });
    const gone = await startNamedApp('');
    await gone.stop();
    expect(await ask(gone.port, { how: 'connect' })).toMatchObject({ cause: 'ECONNREFUSED' });
  });

  it('says nothing when it is cut short', async () => {
    const controller = new AbortController();
    const { port } = await listen(() => controller.abort(new Error('over')));
    expect(await ping(target(port), 20_000, systemClock, controller.signal)).toBeUndefined();
    expect(await ping(target(port), 20_000, systemClock, controller.signal)).toBeUndefined();
  });

  it('for a name that no header can carry says nothing against the address', async () => {
    const plain = await app('');
    expect((await ask(plain.port, { service: 'órdenes\n.default' }))?.verdict).toEqual({ kind: 'unproven' });
  });
});

describe('an answer', () => {
  const of = (status: number, name?: string) =>
    verdictOf({ service: 'orders.default', aliases: ['ORDERS'] }, status, name);

  it('proves by its name, whatever its status', () => {
    expect(of(200, 'orders.default')).toEqual({ kind: 'alive' });
    expect(of(503, 'Orders.Default')).toEqual({ kind: 'alive' });
    expect(of(200, 'orders')).toEqual({ kind: 'alive' });
    expect(of(200, 'carts.default')).toEqual({ kind: 'answeredAs', service: 'carts.default' });
  });

  it('refutes by 421 alone', () => {
    expect(of(421)).toEqual({ kind: 'answeredAs', service: 'another service' });
  });

  it('is life, whatever its status', () => {
    for (const status of [200, 301, 404, 500, 503]) expect(of(status)).toEqual({ kind: 'unproven' });
  });
});
