// Rules F1…F11 of docs/xds.md: clients that read slowly or not at all, too many at once, age, and the end.
// F1 and F9 to F11 are held by other tests too: order.test.ts, delta.test.ts (D16), sotw.test.ts (S9).
import { connect, constants } from 'node:http2';
import type { ClientHttp2Stream } from 'node:http2';
import { once } from 'node:events';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock, systemClock } from '../../../lib/clock.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import { Admission } from '../../../xds-server/flow/admission.ts';
import type { FlowLimits } from '../../../xds-server/flow/limits.ts';
import { Ring } from '../../../xds-server/flow/ring.ts';
import { createXdsServer } from '../../../xds-server/server.ts';
import { MAX_RESPONSE_BYTES } from '../../../xds-server/stream/delta.ts';
import { eventually } from '../../support/eventually.ts';
import { NODE, encodeRequest } from '../../support/xds-messages.ts';
import { XdsRawClient } from '../../support/xds-raw-client.ts';
import { group, fromSources, service, snapshot } from './services.ts';
import { World, likeEnvoy } from './world.ts';

const ORDERS = 'orders.default';
const USERS = 'users.default';
const orders = service(ORDERS, '10.0.0.1:80');
const users = service(USERS, '10.0.0.2:80');
const DELTA = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(
  services: readonly ServiceShards[],
  limits: Partial<FlowLimits>,
  clock: Clock = systemClock,
  ready = true,
) {
  const metrics = createMetrics();
  const server = createXdsServer({ log: createLogger('silent'), metrics, clock, limits });
  const update = (...all: readonly ServiceShards[]) => server.update(snapshot(all));
  update(...services);
  server.setReady(ready);
  const { port } = await server.listen('127.0.0.1:0');
  closers.push(() => server.close({ drainMs: 500 }));
  return {
    server,
    metrics,
    port,
    update,
    client(id: string) {
      const client = new XdsRawClient(port, 'delta', { ...NODE, id });
      closers.push(() => client.kill());
      return client;
    },
  };
}

type Running = Awaited<ReturnType<typeof start>>;

/** A client that asks for everything and never lets the server send a byte of it. */
function deafClient({ port }: Running, id = 'deaf'): ClientHttp2Stream {
  const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } });
  session.on('error', () => undefined);
  closers.push(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': DELTA,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined);
  const request = encodeRequest('delta', { node: { ...NODE, id }, type: 'cds' });
  const frame = Buffer.alloc(5 + request.length);
  frame.writeUInt32BE(request.length, 1);
  frame.set(request, 5);
  stream.write(frame);
  return stream;
}

const closeOf = (stream: ClientHttp2Stream): Promise<unknown> =>
  new Promise((resolve) => stream.once('close', resolve));

const valueOf = async (
  metric: { get(): Promise<{ values: { value: number; labels: object }[] }> },
  labels: object = {},
): Promise<number> => {
  const { values } = await metric.get();
  const wanted = JSON.stringify(labels);
  return values.find((one) => JSON.stringify(one.labels) === wanted)?.value ?? 0;
};

describe('F1: one response under way', () => {
  it('#18: a change between the ACKs of clusters and endpoints is merged, and nothing is left out', () => {
    const world = new World(orders);
    const client = likeEnvoy(world, [ORDERS]);
    world.update(orders, users);
    const cds = client.next('cds');
    const moved = service(USERS, '10.0.0.9:80');
    const third = service('third.default', '10.0.0.3:80');
    world.update(orders, moved, third);
    client.silent().ack(cds);
    const more = client.next('cds');
    expect(more.names).toEqual(['third.default']);
    client.send('eds', { subscribe: [USERS, 'third.default'] });
    client.ack(more);
    const eds = client.take('eds');
    expect([...eds.names].sort()).toEqual(['third.default', USERS]);
    expect(JSON.stringify(eds.resources.get(USERS))).toContain('10.0.0.9');
    client.take('rds');
    client.silent();
    expect(client.state('rds')?.state).toBe('SYNCED');
  });
});

describe('F2: slow readers', () => {
  it('a client that takes nothing has one message made for it, however much changes', async () => {
    const running = await start([orders], {});
    deafClient(running);
    const good = running.client('good');
    await good.send('eds', { subscribe: [ORDERS] }).take('eds');
    const ofClusters = () => valueOf(running.metrics.xds.pushes, { type: 'cds' });
    await eventually(async () => (await ofClusters()) === 1, { everyMs: 5 });
    for (let i = 1; i <= 50; i += 1) {
      const grpc = [{ name: '', port: 0, protocol: i % 2 === 0 ? '' : 'grpc' }];
      running.update(fromSources(['a', group(ORDERS, { ports: grpc, endpoints: [`10.0.1.${i}:80`] })]));
      await good.take('eds');
    }
    expect(await ofClusters()).toBe(1);
  });

  it('nothing is made while the last message is on its way; then the newest state goes out', () => {
    const world = new World(orders);
    const client = likeEnvoy(world, [ORDERS]);
    client.busy = true;
    for (let i = 1; i <= 9; i += 1) world.update(service(ORDERS, `10.0.1.${i}:80`));
    client.silent();
    client.busy = false;
    client.stream.pump();
    expect(JSON.stringify(client.take('eds').resources.get(ORDERS))).toContain('10.0.1.9');
    client.silent();
  });

  it('no message is larger than a part of 5 MB, copies included', () => {
    expect(MAX_RESPONSE_BYTES * 2).toBeLessThan(5_000_000);
  });
});

describe('F3: readers that have stopped', () => {
  it('are cut off with UNAVAILABLE, and others see nothing of it', async () => {
    const running = await start([orders], { slowReaderMs: 1_000 });
    const good = running.client('good');
    await good.send('eds', { subscribe: [ORDERS] }).take('eds');
    const deaf = deafClient(running);
    const closed = closeOf(deaf);
    running.update(service(ORDERS, '10.0.0.9:80'));
    await good.take('eds');
    await closed;
    // gRPC's HTTP/2 mapping reads it as UNAVAILABLE.
    expect(deaf.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
    await eventually(() => running.server.proxies().length === 1, { everyMs: 5 });
    expect(await valueOf(running.metrics.xds.slowReaders)).toBe(1);
    running.update(service(ORDERS, '10.0.0.10:80'));
    await good.take('eds');
  });

  it('a client that has nothing to read is no slow reader', async () => {
    const running = await start([orders], { slowReaderMs: 100 });
    const idle = running.client('idle');
    await idle.send('eds', { subscribe: [ORDERS] }).take('eds');
    const deaf = deafClient(running);
    await closeOf(deaf);
    running.update(service(ORDERS, '10.0.0.9:80'));
    await idle.take('eds');
  });
});

describe('F4: requests and pushes take turns', () => {
  it('long work for many is cut, others run between, and all of it is done', async () => {
    const order: string[] = [];
    const ring = new Ring<number>((item) => {
      const end = performance.now() + 2;
      while (performance.now() < end);
      order.push(`push ${item}`);
    });
    ring.run(Array.from({ length: 40 }, (_, i) => i));
    setImmediate(() => order.push('request'));
    await eventually(() => order.length === 41, { everyMs: 5 });
    expect(order.indexOf('request')).toBeLessThan(40);
    expect(order.filter((what) => what !== 'request')).toEqual(
      Array.from({ length: 40 }, (_, i) => `push ${i}`),
    );
  });

  it('what is gone is not served', () => {
    const served: string[] = [];
    const ring: Ring<string> = new Ring((item) => {
      served.push(item);
      if (item === 'a') ring.drop('b');
    });
    ring.run(['a', 'b', 'c']);
    expect(served).toEqual(['a', 'c']);
  });
});

describe('F5: admission', () => {
  const limits = { startingBytes: 100_000, admissionWaitMs: 5_000 };

  it('lets in by bytes, keeps the rest in line, and sends the last away when they waited too long', () => {
    const clock = new ManualClock();
    const admission = new Admission(limits, clock);
    const seen: string[] = [];
    const shares: number[] = [];
    const ask = (who: string) =>
      admission.ask(
        () => {
          seen.push(`${who} in`);
          shares.push(admission.reserve());
        },
        () => seen.push(`${who} away`),
      );
    ask('a');
    ask('b');
    const leave = ask('c');
    ask('d');
    expect([seen, admission.waiting]).toEqual([['a in'], 3]);
    leave();
    admission.settled(shares[0] ?? 0, 1_000);
    expect(seen).toEqual(['a in', 'b in']);
    clock.advance(4_999);
    expect(seen).toEqual(['a in', 'b in']);
    clock.advance(1);
    expect(seen).toEqual(['a in', 'b in', 'd away']);
    expect([admission.waiting, clock.pending]).toEqual([0, 0]);
  });

  it('small answers let more in at once, and one is always let in', () => {
    const admission = new Admission({ ...limits, startingBytes: 1 }, new ManualClock());
    let inside = 0;
    const ask = () =>
      void admission.ask(
        () => {
          inside += 1;
          admission.reserve();
        },
        () => undefined,
      );
    ask();
    ask();
    expect(inside).toBe(1);
    const roomy = new Admission(limits, new ManualClock());
    for (let i = 0; i < 60; i += 1) roomy.settled(roomy.reserve(), 100);
    for (let i = 0; i < 100; i += 1) {
      roomy.ask(
        () => {
          inside += 1;
          roomy.reserve();
        },
        () => undefined,
      );
    }
    expect(inside).toBe(101);
  });

  it('who came before the gate opened is answered by bytes too, and is never sent away', async () => {
    const clock = new ManualClock();
    const running = await start([orders], { startingBytes: 1, admissionWaitMs: 100 }, clock, false);
    const deaf = Array.from({ length: 10 }, (_, i) => deafClient(running, `deaf-${i}`));
    await eventually(() => running.server.proxies().length === 10, { everyMs: 5 });
    const pushed = () => valueOf(running.metrics.xds.pushes, { type: 'cds' });
    running.server.setReady(true);
    expect(await pushed()).toBe(1);
    expect(await valueOf(running.metrics.xds.waiting)).toBe(9);
    // Who takes nothing keeps the others waiting for a while only, and those wait as long as it takes.
    for (let begun = 2; begun <= 10; begun += 1) {
      await eventually(
        async () => {
          clock.advance(1_000);
          return (await pushed()) >= begun;
        },
        { everyMs: 1 },
      );
    }
    expect(await valueOf(running.metrics.xds.waiting)).toBe(0);
    expect(deaf.filter((stream) => stream.closed)).toEqual([]);
    for (const stream of deaf) stream.session?.destroy();
    // The end of the server waits by this clock where there are streams.
    await eventually(() => running.server.proxies().length === 0, { everyMs: 5 });
  });

  it('F11: who is sent away had no response, and gets RESOURCE_EXHAUSTED', async () => {
    const running = await start([orders], { startingBytes: 1, admissionWaitMs: 100 });
    deafClient(running);
    await eventually(async () => (await valueOf(running.metrics.xds.pushes, { type: 'cds' })) === 1, {
      everyMs: 5,
    });
    const late = running.client('late').send('cds');
    expect(await late.anyResponse()).toBeUndefined();
    expect(late.over?.code).toBe(status.RESOURCE_EXHAUSTED);
    // Who takes nothing keeps others out for a while only.
    await eventually(
      async () => {
        const next = running.client('next').send('cds');
        return (await next.anyResponse()) !== undefined;
      },
      { withinMs: 30_000, everyMs: 50, what: 'room' },
    );
  });
});

describe('F6, F7: age and number', () => {
  it('F6: a connection that is old gets GOAWAY, and its stream ends in order with UNAVAILABLE', async () => {
    const running = await start([orders], { maxConnectionAgeMs: 2_000 });
    const session = connect(`http://127.0.0.1:${running.port}`);
    closers.push(() => session.destroy());
    const goaway = once(session, 'goaway') as Promise<[number]>;
    const client = running.client('old');
    await client.send('cds').take('cds');
    expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    expect((await client.ended).code).toBe(status.UNAVAILABLE);
  });

  it('F7: streams beyond the cap are sent away before any response', async () => {
    const running = await start([orders], { maxStreams: 1 });
    const first = running.client('first');
    await first.send('cds').take('cds');
    const second = running.client('second').send('cds');
    expect((await second.ended).code).toBe(status.RESOURCE_EXHAUSTED);
    first.kill();
    await eventually(() => running.server.proxies().length === 0, { everyMs: 5 });
    await running.client('third').send('cds').take('cds');
  });
});

describe('F8: the end', () => {
  it('streams end with UNAVAILABLE one after the other, and nobody new is let in', async () => {
    const clock = new ManualClock(1_000);
    const running = await start([orders], {}, clock);
    const clients = Array.from({ length: 20 }, (_, i) => running.client(`c${i}`));
    for (const client of clients) await client.send('cds').take('cds');
    const closing = running.server.close({ drainMs: 4_000 });
    await eventually(() => clients.some((client) => client.over), { everyMs: 5 });
    expect(clients.filter((client) => client.over).length).toBeLessThan(20);
    let over = false;
    void closing.then(() => (over = true));
    await eventually(
      () => {
        clock.advance(5);
        return over;
      },
      { everyMs: 5 },
    );
    for (const client of clients) expect((await client.ended).code).toBe(status.UNAVAILABLE);
  });
});
