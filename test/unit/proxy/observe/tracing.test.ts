// Traces of a running data plane, received by a small OTLP server.
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { SpanExporter } from '../../../../proxy/observe/exporter.ts';
import { postSpans } from '../../../../proxy/observe/otlp-http.ts';
import type { TracingRules } from '../../../../proxy/observe/tracer.ts';
import { DEFAULT_HTTP } from '../../../../proxy/http/rules.ts';
import type { OtlpSpan } from '../../../../proto/otlp.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { startCollector } from '../../../support/otlp.ts';
import type { Collector } from '../../../support/otlp.ts';
import {
  cleanUp,
  closedPort,
  cluster,
  host,
  httpServer,
  request,
  startPlane,
  tables,
} from '../http/support.ts';

const collectors: Collector[] = [];

afterEach(async () => {
  await cleanUp();
  await Promise.all(collectors.splice(0).map((one) => one.stop()));
});

async function collector(): Promise<Collector> {
  const started = await startCollector();
  collectors.push(started);
  return started;
}

async function traced(rules: Partial<TracingRules> = {}, direction = 'outbound') {
  const otlp = await collector();
  const seen: Record<string, string | string[] | undefined>[] = [];
  const app = await httpServer((incoming, response) => {
    seen.push(incoming.headers);
    response.writeHead(incoming.url === '/fails' ? 500 : 200).end('ok');
  });
  const made = tables(cluster([host(app.port)]), {});
  const out = made.listeners.get('out');
  if (!out || 'tcp' in out) throw new Error('no listener');
  const http = {
    ...DEFAULT_HTTP,
    requestIds: { edge: false, preserve: true },
    tracing: {
      client: 1,
      random: 1,
      overall: 1,
      maxPath: 8,
      serviceName: 'shop',
      to: { url: `http://127.0.0.1:${otlp.httpPort}` },
      ...rules,
    },
  };
  const running = await startPlane(
    { ...made, listeners: new Map([['out', { ...out, direction, http }]]) },
    { node: { id: 'me', locality: { zone: 'a' } }, version: '1' },
  );
  const ask = async (headers: Record<string, string> = {}, path = '/long?query=1') => {
    await request(running.port, { path, headers });
    return seen.at(-1) ?? {};
  };
  /** Sends what waits. */
  const spans = async () => {
    await running.plane.exporters.close();
    return otlp.spans;
  };
  return { ...running, otlp, ask, spans };
}

const T = '0af7651916cd43dd8448eb211c80319c';
const P = 'b7ad6b7169203331';
const SHORT = T.slice(16);

describe('tracing', () => {
  test('a trace begins here, and its span is sent', async () => {
    const { ask, spans } = await traced();
    const headers = await ask({ 'user-agent': 'me' });
    const [span] = await spans();
    expect(headers['traceparent']).toBe(`00-${span?.traceId ?? ''}-${span?.spanId ?? ''}-01`);
    expect(headers['tracestate']).toBeUndefined();
    expect(String(headers['x-request-id'])[14]).toBe('9');
    expect(span).toMatchObject({ parentId: '', name: 'egress orders', kind: 3, failed: false });
    expect((span?.endNano ?? 0n) >= (span?.startNano ?? 1n)).toBe(true);
    expect(span?.attributes).toMatchObject({
      node_id: 'me',
      zone: 'a',
      'http.method': 'GET',
      'http.url': 'http://orders/long?qu',
      'http.status_code': '200',
      'http.protocol': 'HTTP/1.1',
      user_agent: 'me',
      upstream_cluster: 'orders.default',
      response_flags: '-',
      response_size: '2',
      'guid:x-request-id': headers['x-request-id'],
    });
    expect(span?.attributes['upstream_address']).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(span?.resource).toMatchObject({ 'service.name': 'shop', 'telemetry.sdk.name': 'isthmus' });
  });

  test('an error is one, also of what comes in', async () => {
    const { ask, spans } = await traced({}, 'inbound');
    await ask({}, '/fails');
    expect(await spans()).toMatchObject([{ failed: true, name: 'ingress', kind: 2 }]);
  });

  test.each([
    ['b3', { b3: `${T}-${P}-1` }, { b3: 'T-S-1-P' }],
    ['b3, 64 bits, a debug trace', { b3: `${SHORT}-${P}-d` }, { b3: 'H-S-d-P' }],
    [
      'x-b3-…',
      { 'x-b3-traceid': T, 'x-b3-spanid': P, 'x-b3-sampled': '1', 'x-b3-parentspanid': '1'.repeat(16) },
      { 'x-b3-traceid': 'T', 'x-b3-spanid': 'S', 'x-b3-parentspanid': 'P', 'x-b3-sampled': '1' },
    ],
    [
      'x-b3-… without a decision',
      { 'x-b3-traceid': T, 'x-b3-spanid': P },
      { 'x-b3-traceid': 'T', 'x-b3-spanid': 'S', 'x-b3-parentspanid': 'P', 'x-b3-sampled': '1' },
    ],
  ])('a trace that came as %s goes on so', async (_name, headers, expected) => {
    const { ask, spans } = await traced();
    const seen = await ask(headers);
    const [span] = await spans();
    expect(span?.parentId).toBe(P);
    expect(span?.traceId.endsWith(SHORT)).toBe(true);
    const letters = (text: unknown) =>
      String(text)
        .replace(T, 'T')
        .replace(SHORT, 'H')
        .replace(span?.spanId ?? '?', 'S')
        .replace(P, 'P');
    const names = Object.keys(seen).filter((name) => /b3|trace/.test(name));
    expect(Object.fromEntries(names.map((name) => [name, letters(seen[name])]))).toEqual(expected);
  });

  test('what is not to be sampled is passed on, and nothing is sent', async () => {
    const { ask, spans } = await traced();
    expect((await ask({ b3: `${T}-${P}-0` }))['b3']).toMatch(new RegExp(`^${T}-.*-0-${P}$`));
    expect((await ask({ 'x-b3-traceid': T, 'x-b3-spanid': P, 'x-b3-sampled': '0' }))['x-b3-sampled']).toBe(
      '0',
    );
    expect((await ask({ b3: '0' }))['b3']).toBe('0');
    expect((await ask({ traceparent: 'nonsense' }))['traceparent']).toBe('nonsense');
    expect(await spans()).toEqual([]);
  });

  test('a context in two forms: the W3C one counts, the other passes', async () => {
    const { ask, spans } = await traced();
    const seen = await ask({ traceparent: `00-${T}-${P}-01`, b3: `${T}-${P}-1` });
    expect(seen['b3']).toBe(`${T}-${P}-1`);
    const [span] = await spans();
    expect(seen['traceparent']).toBe(`00-${T}-${span?.spanId ?? ''}-01`);
  });

  test('a trace that this proxy does not sample is none further on', async () => {
    const { ask, spans } = await traced({ random: 0 });
    for (const headers of [{ traceparent: `00-${T}-${P}-01` }, { b3: `${T}-${P}-1` }]) {
      const seen = await ask(headers);
      expect(String(seen['traceparent'] ?? seen['b3'])).toMatch(/-0(0|-b7ad6b7169203331)$/);
    }
    expect(await spans()).toEqual([]);
  });
});

describe('the exporter', () => {
  const span: OtlpSpan = {
    trace_id: Buffer.alloc(16, 1),
    span_id: Buffer.alloc(8, 1),
    name: 'n',
    kind: 2,
    start_time_unix_nano: '1795278206134464001',
    end_time_unix_nano: '1795278206134464002',
    attributes: [],
  };
  const make = (port: number, more: object = {}) =>
    new SpanExporter({
      clock: systemClock,
      log: createLogger('silent'),
      serviceName: 's',
      version: '1',
      send: (body) =>
        postSpans({ address: '127.0.0.1', port, path: '/', host: 'c', fields: [], timeoutMs: 5_000 }, body),
      ...more,
    });

  test('drops and counts what does not fit, and sends the rest', async () => {
    const otlp = await collector();
    const exporter = make(otlp.httpPort, { batch: 3, max: 4, flushMs: 60_000 });
    for (let i = 0; i < 9; i += 1) exporter.add(span);
    expect(exporter.dropped).toBe(2);
    await exporter.close();
    expect(otlp.spans).toHaveLength(7);
    expect(otlp.spans[0]?.startNano).toBe(1795278206134464001n);
    expect({ sent: exporter.sent, dropped: exporter.dropped }).toEqual({ sent: 7, dropped: 2 });
  });

  test.each(['nobody listens', 'the collector refuses'])('counts what is lost when %s', async (why) => {
    const otlp = await collector();
    otlp.status = 500;
    const exporter = make(why === 'nobody listens' ? await closedPort() : otlp.httpPort);
    exporter.add(span);
    await exporter.close();
    expect({ sent: exporter.sent, dropped: exporter.dropped }).toEqual({ sent: 0, dropped: 1 });
    exporter.add(span);
    expect(exporter.dropped).toBe(2);
  });

  test('a collector that hangs holds nothing up for long', async () => {
    const hanging = await httpServer(() => undefined);
    const send = (body: Buffer) =>
      postSpans(
        { address: '127.0.0.1', port: hanging.port, path: '/', host: 'c', fields: [], timeoutMs: 50 },
        body,
      );
    const exporter = make(0, { send });
    exporter.add(span);
    await exporter.close();
    expect(exporter.dropped).toBe(1);
  });
});
