// What the log says of a registry that is written into while that refuses, answers nonsense, or does not answer.
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { writeThrough } from '../../../cli/wire-write-through.ts';
import { configSchema } from '../../../config/schema.ts';
import { systemClock } from '../../../lib/clock.ts';
import type { Clock } from '../../../lib/clock.ts';
import { plainSlice } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { eventually } from '../../support/eventually.ts';
import { endpoint } from '../admin/fixture.ts';

const SPEED = 40;
const WITHIN = { withinMs: 30_000 };
const fast: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * SPEED,
  after: (ms, fn) => systemClock.after(ms / SPEED, fn),
};
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Body {
  readonly ID: string;
  readonly Name: string;
}

/** As much of an agent as a registrar needs. */
function agent() {
  const services = new Map<string, object>();
  const answer: RequestListener = (request, response) => {
    const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '').slice('/v1/agent/'.length);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (path === 'services') return response.end(JSON.stringify(Object.fromEntries(services)));
      if (request.method === 'GET') return response.writeHead(404).end();
      if (path === 'service/register') {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as Body;
        services.set(body.ID, { ...body, Service: body.Name });
      } else if (path.startsWith('service/deregister/')) services.delete(path.split('/')[2] ?? '');
      return response.end();
    });
  };
  return { services, answer };
}

const FAULTS: Readonly<Record<string, RequestListener>> = {
  'HTTP 403': (_request, response) => response.writeHead(403).end('ACL not found'),
  'it is no JSON': (_request, response) => response.end('<html>Sign in</html>'),
  'no connection lives': (request) => request.socket.destroy(),
  silence: () => undefined,
};

it('a fault is told once however long it lasts, and its end; what others have registered is never touched', {
  timeout: 90_000,
}, async () => {
  const { services, answer } = agent();
  services.set('theirs', { Service: 'orders', Address: '10.0.0.8', Port: 80, Meta: {} });
  let asked = 0;
  let fault: RequestListener | undefined;
  const server = createServer((request, response) => {
    asked += 1;
    (fault ?? answer)(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = configSchema.parse({
    sources: [
      { name: 'consul', kind: 'consul', address },
      { name: 'sidecars', kind: 'sidecar', writeTo: ['consul'] },
    ],
  });
  const endpoints = ['10.0.0.1', '10.0.0.2'].map((one) => endpoint({ address: one, port: 15006 }));
  const ports = [{ name: '', port: 0, protocol: 'http' }];
  const group = { service: 'orders.default', aliases: [], ports, primaryPort: '', endpoints };
  const slice = plainSlice('orders.default', new Map([['sidecars', group]]));
  const aggregator = {
    current: { services: new Map([['orders.default', slice]]) },
    subscribe: () => () => undefined,
  } as unknown as Parameters<typeof writeThrough>[1]['aggregator'];
  const said: { level: string; cause?: string }[] = [];
  const log = createLogger('info', { write: (line) => void said.push(JSON.parse(line) as (typeof said)[0]) });
  const writer = writeThrough(config, { aggregator, clock: fast, log });
  const stop = new AbortController();
  const running = writer.run(stop.signal);
  closers.push(async () => {
    stop.abort(new Error('test over'));
    await running;
  });
  writer.setLeader('');
  const more = async (count: number) => {
    const from = asked;
    await eventually(() => asked >= from + count, WITHIN);
  };
  const good = async (times: number) => {
    await eventually(() => said.filter(({ level }) => level === 'info').length === times, WITHIN);
    expect([...services.keys()].sort()).toEqual([
      'isthmus:orders:10.0.0.1:15006',
      'isthmus:orders:10.0.0.2:15006',
      'theirs',
    ]);
  };
  await eventually(() => services.size === 3, WITHIN);
  for (const [index, name] of ['HTTP 403', 'it is no JSON'].entries()) {
    fault = FAULTS[name];
    await more(5);
    fault = undefined;
    await good(index + 1);
  }
  fault = FAULTS['no connection lives'];
  await more(3);
  fault = FAULTS['silence'];
  await more(2);
  fault = FAULTS['no connection lives'];
  await more(3);
  // Restarted, it knows nothing of ours.
  for (const id of services.keys()) if (id !== 'theirs') services.delete(id);
  fault = undefined;
  await good(3);
  expect(said.map(({ level }) => level)).toEqual(['warn', 'info', 'warn', 'info', 'warn', 'info']);
  const causes = said.flatMap(({ cause }) => cause ?? []);
  expect(causes[0]).toContain('HTTP 403 ACL not found');
  expect(causes[1]).toContain('JSON');
});
