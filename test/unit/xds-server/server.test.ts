// The real server over a real socket: both variants end to end, bad input, and nothing left behind.
import { connect } from 'node:http2';
import fc from 'fast-check';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock, systemClock } from '../../../lib/clock.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import { createXdsServer } from '../../../xds-server/server.ts';
import type { XdsServer } from '../../../xds-server/server.ts';
import { eventually } from '../../support/eventually.ts';
import { watchLeaks } from '../../support/leaks.ts';
import { NODE, encodeRequest, nodeWith } from '../../support/xds-messages.ts';
import type { Variant } from '../../support/xds-messages.ts';
import { XdsRawClient } from '../../support/xds-raw-client.ts';
import { field, textField } from '../../../xds-server/wire/writer.ts';
import { service, snapshot } from './services.ts';

const ORDERS = 'orders.default';
const orders = service(ORDERS, '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');
/** Of 50 streams each. */
const ROUNDS = process.env['ISTHMUS_LONG'] === '1' ? 200 : 20;
const BOTH: readonly Variant[] = ['delta', 'sotw'];

interface Running {
  readonly server: XdsServer;
  readonly port: number;
  readonly metrics: ReturnType<typeof createMetrics>;
  update(...services: readonly ServiceShards[]): void;
  client(variant: Variant, node?: object): XdsRawClient;
}

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(
  services: readonly ServiceShards[],
  options: { clock?: Clock; ready?: boolean; startupTimeoutMs?: number } = {},
): Promise<Running> {
  const metrics = createMetrics();
  const { clock = systemClock, ready = true } = options;
  const server = createXdsServer({ log: createLogger('silent'), metrics, ...options, clock });
  const update = (...all: readonly ServiceShards[]) => server.update(snapshot(all));
  update(...services);
  if (ready) server.setReady(true);
  const { port } = await server.listen('127.0.0.1:0');
  closers.push(() => server.close({ drainMs: 1_000 }));
  return {
    server,
    port,
    metrics,
    update,
    client(variant, node) {
      const client = new XdsRawClient(port, variant, node);
      closers.push(() => client.kill());
      return client;
    },
  };
}

const streams = async (running: Running): Promise<number | undefined> =>
  (await running.metrics.xds.clients.get()).values[0]?.value;

describe.each(BOTH)('%s over a socket', (variant) => {
  const ask = (...names: string[]) => (variant === 'delta' ? { subscribe: names } : { names });
  const again = (...names: string[]) => (variant === 'delta' ? {} : { names });

  it('serves all four types in order, then changes, then removals', async () => {
    const running = await start([orders, users]);
    const client = running.client(variant);
    client.send('cds');
    expect([...(await client.take('cds')).names].sort()).toEqual([ORDERS, 'users.default']);
    const both = [ORDERS, 'users.default'];
    client.send('eds', ask(...both));
    await client.take('eds', again(...both));
    client.send('lds');
    expect((await client.take('lds')).names).toEqual(['outbound']);
    client.send('rds', ask('outbound'));
    await client.take('rds', again('outbound'));

    running.update(service(ORDERS, '10.0.0.1:80', '10.0.0.3:80'), users);
    const eds = await client.take('eds', again(...both));
    expect(eds.names).toEqual([ORDERS]);
    running.update(service(ORDERS, '10.0.0.1:80', '10.0.0.3:80'));
    const rds = await client.expectResponse('rds');
    client.ack(rds, again('outbound'));
    const cds = await client.take('cds');
    if (variant === 'delta') expect(cds.removed).toEqual(['users.default']);
    else expect(cds.names).toEqual([ORDERS]);
    await eventually(() => running.server.proxies()[0]?.types.cds.state === 'SYNCED', { everyMs: 5 });
    expect(running.server.proxies()[0]).toMatchObject({
      node: 'node-1',
      service: 'web.default',
      kind: 'envoy',
    });
  });

  it('ends in order when the client half-closes', async () => {
    const running = await start([orders]);
    const client = running.client(variant);
    await client.send('cds').take('cds');
    expect((await client.end()).code).toBe(status.OK);
    expect(running.server.proxies()).toEqual([]);
  });

  it('random bytes end their own stream; another one stays and is still pushed to', async () => {
    const running = await start([orders]);
    const other = running.client(variant, { ...NODE, id: 'other' });
    await other.send('eds', ask(ORDERS)).take('eds', again(ORDERS));
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.boolean(),
        async (bytes, later) => {
          const client = running.client(variant);
          if (later) await client.send('cds').take('cds');
          // A first byte of field 0 is never a message, whatever follows.
          client.sendBytes(Buffer.from([0x02, ...bytes]));
          expect((await client.ended).code).toBe(status.INVALID_ARGUMENT);
          client.kill();
          round += 1;
          running.update(service(ORDERS, `10.1.${round >> 8}.${round & 255}:80`));
          await other.take('eds', again(ORDERS));
        },
      ),
      { numRuns: 40 },
    );
    expect(await streams(running)).toBe(1);
  });

  it('truncated requests end their own stream, or are whole in themselves', async () => {
    const running = await start([orders]);
    const whole = encodeRequest(variant, {
      node: nodeWith('n', { appPort: 8080 }),
      type: 'eds',
      ...ask(ORDERS),
    });
    const other = running.client(variant, { ...NODE, id: 'other' });
    await other.send('cds').take('cds');
    let ended = 0;
    for (let length = 1; length < whole.length; length += 3) {
      const client = running.client(variant);
      // A marker behind it: whoever understood the first message answers one of the two.
      client.sendBytes(whole.subarray(0, length)).send('cds');
      await Promise.race([client.ended, client.anyResponse()]);
      if (client.over) {
        expect(client.over.code).toBe(status.INVALID_ARGUMENT);
        ended += 1;
      }
      client.kill();
    }
    expect(ended).toBeGreaterThan(10);
    running.update(orders, users);
    await other.take('cds');
  });

  it('nested groups without end, deep structs and absurd lengths end their own stream', async () => {
    const running = await start([orders]);
    // Node{id 1, metadata 3 {fields 1 {key 1, value 2 {list_value 6 {values 1 {…}}}}}} in field 1 or 2.
    let value: Buffer = Buffer.alloc(0);
    for (let depth = 0; depth < 2_000; depth += 1) value = field(6, field(1, value));
    const metadata = field(3, field(1, Buffer.concat([textField(1, 'a'), field(2, value)])));
    const deepNode = field(variant === 'delta' ? 1 : 2, Buffer.concat([textField(1, 'deep'), metadata]));
    const bad = [
      Buffer.alloc(2_000_000, 0x0b),
      Buffer.alloc(16 * 1024 * 1024, 0x0b),
      Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      Buffer.concat([deepNode, encodeRequest(variant, { type: 'cds' })]),
      encodeRequest(variant, { node: { ...NODE, id: '' }, type: 'cds' }),
      encodeRequest(variant, { node: nodeWith('n', { outbound: 'nonsense' }), type: 'cds' }),
      encodeRequest(variant, { node: nodeWith('n', { appPort: 99_999 }), type: 'cds' }),
      encodeRequest(variant, { node: NODE }),
    ];
    for (const bytes of bad) {
      const client = running.client(variant).sendBytes(bytes);
      expect((await client.ended).code, bytes.subarray(0, 20).toString('hex')).toBe(status.INVALID_ARGUMENT);
      client.kill();
    }
    const survivor = running.client(variant);
    await survivor.send('cds').take('cds');
    expect(await streams(running)).toBe(1);
  });

  it('a request over the limit ends its own stream', async () => {
    const running = await start([orders]);
    const other = running.client(variant, { ...NODE, id: 'other' });
    await other.send('cds').take('cds');
    const client = running.client(variant);
    client.sendBytes(Buffer.alloc(33 * 1024 * 1024, 0x61));
    expect((await client.ended).code).toBe(status.RESOURCE_EXHAUSTED);
    client.kill();
    await eventually(async () => (await streams(running)) === 1, { everyMs: 5 });
    running.update(orders, users);
    await other.take('cds');
  });

  it(`#25: ${ROUNDS * 50} streams that come and are killed leave no stream, group or timer`, async () => {
    const clock = new ManualClock();
    const running = await start([orders], { clock });
    const settled = watchLeaks();
    for (let round = 0; round < ROUNDS; round += 1) {
      const clients = Array.from({ length: 50 }, (_, i) => {
        const node = nodeWith(`n-${round}-${i}`, { appPort: 1 + i, outbound: `127.0.0.1:${1 + i}` });
        return new XdsRawClient(running.port, variant, node);
      });
      // Half of them are cut in the middle of a step, with the timer of its limit running.
      await Promise.all(
        clients.map(async (client, i) => {
          client.send('cds');
          if (i % 2 === 0) client.send('lds');
          const response = await client.expectResponse('cds');
          if (i % 3 === 0) client.ack(response);
        }),
      );
      for (const client of clients) client.kill();
    }
    await eventually(async () => (await streams(running)) === 0, { everyMs: 10 });
    expect(running.server.proxies()).toEqual([]);
    expect(clock.pending).toBe(0);
    await settled();
    // Some seconds of work, on a machine that may be busy.
  }, 600_000);
});

describe('T1: both variants', () => {
  it('show the same resources', async () => {
    const running = await start([orders, users]);
    const [delta, sotw] = [running.client('delta'), running.client('sotw')];
    const a = await delta.send('cds').take('cds');
    const b = await sotw.send('cds').take('cds');
    expect(new Map(a.resources)).toEqual(new Map(b.resources));
  });

  it('a path that is not served is UNIMPLEMENTED and harms nobody', async () => {
    const running = await start([orders]);
    const session = connect(`http://127.0.0.1:${running.port}`);
    closers.push(() => session.destroy());
    const request = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v9.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const headers = await new Promise<Record<string, unknown>>((resolve) => request.on('response', resolve));
    expect(headers['grpc-status']).toBe(String(status.UNIMPLEMENTED));
    const client = running.client('delta');
    await client.send('cds').take('cds');
  });
});

describe('start-up', () => {
  it('streams wait for every source, at most the start-up time', async () => {
    const clock = new ManualClock();
    const running = await start([orders], { clock, ready: false, startupTimeoutMs: 5_000 });
    const client = running.client('delta').send('cds');
    await eventually(() => running.server.proxies().length === 1, { everyMs: 5 });
    expect(running.server.proxies()[0]?.types.cds.state).toBe('NOT_SENT');
    clock.advance(5_000);
    await client.take('cds');
    running.update();
    running.update(users);
    expect((await client.take('cds')).removed).toEqual([]);
    running.server.setReady(true);
    expect((await client.expectResponse('cds')).removed).toEqual([ORDERS]);
  });

  it('a late timer after setReady(true) does nothing', async () => {
    const clock = new ManualClock();
    await start([orders], { clock });
    expect(clock.pending).toBe(0);
  });
});

describe('operation', () => {
  it('a step that is overdue goes on over the socket, too', async () => {
    const clock = new ManualClock();
    const running = await start([orders], { clock });
    const client = running.client('delta');
    client.send('cds');
    await client.expectResponse('cds');
    client.send('lds');
    // The limit of the step, and the one timer of all streams.
    await eventually(() => clock.pending === 2, { everyMs: 5 });
    clock.advance(5_000);
    await client.take('lds');
  });

  it('a client that reads nothing does not hold up the others', async () => {
    const running = await start([orders]);
    const session = connect(`http://127.0.0.1:${running.port}`, { settings: { initialWindowSize: 0 } });
    closers.push(() => session.destroy());
    const call = session.request({
      ':method': 'POST',
      ':path': '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const request = encodeRequest('delta', { node: { ...NODE, id: 'mute' }, type: 'cds' });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(request.length, 1);
    call.write(Buffer.concat([head, request]));
    await eventually(() => running.server.proxies().some((p) => p.node === 'mute'), { everyMs: 5 });
    const client = running.client('delta');
    await client.send('eds', { subscribe: [ORDERS] }).take('eds');
    for (let i = 1; i <= 100; i += 1) {
      running.update(service(ORDERS, `10.2.0.${i}:80`));
      await client.take('eds');
    }
  });

  it('the config dump shows what all see, what one node sees, and nothing for a stranger', async () => {
    const running = await start([orders]);
    const client = running.client('delta', nodeWith('sidecar', { appPort: 8080, service: 'orders' }));
    await client.send('lds').take('lds');
    const text = (node?: string) => JSON.stringify(running.server.configDump(node));
    expect(text()).toContain(ORDERS);
    expect(text()).not.toContain('inbound:8080');
    expect(text('sidecar')).toContain('inbound:8080');
    expect(running.server.configDump('stranger')).toBeUndefined();
    expect(running.server.proxies()[0]?.service).toBe('orders.default');
  });

  it('close() ends streams with UNAVAILABLE and frees the port', async () => {
    const running = await start([orders]);
    const client = running.client('sotw');
    await client.send('cds').take('cds');
    const closing = running.server.close({ drainMs: 5_000 });
    expect((await client.ended).code).toBe(status.UNAVAILABLE);
    client.kill();
    await closing;
    const again = await start([orders]);
    await again.client('sotw').send('cds').take('cds');
  });

  it('a port in use and an address that is none are told by ISTHMUS_LISTEN_FAILED', async () => {
    const running = await start([orders]);
    const server = createXdsServer({
      log: createLogger('silent'),
      clock: systemClock,
      metrics: createMetrics(),
    });
    closers.push(() => server.close({ drainMs: 100 }));
    await expect(server.listen(`127.0.0.1:${running.port}`)).rejects.toMatchObject({
      code: 'ISTHMUS_LISTEN_FAILED',
    });
    await expect(server.listen('nonsense')).rejects.toMatchObject({ code: 'ISTHMUS_LISTEN_FAILED' });
  });
});
