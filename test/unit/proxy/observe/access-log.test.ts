// The access log of a running data plane, and of files that go away.
import { mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { LogFile } from '../../../../proxy/observe/log-file.ts';
import { plainAccessLog } from '../../../../proxy/observe/rules.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { eventually } from '../../../support/eventually.ts';
import {
  OK,
  cleanUp,
  cluster,
  exchangeRaw,
  host,
  rawClient,
  rawServer,
  request,
  startPlane,
  tables,
  until,
} from '../http/support.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'isthmus-log-'));
});
afterEach(async () => {
  await cleanUp();
  await rm(folder, { recursive: true, force: true });
});

const read = (path: string) => readFile(path, 'latin1').catch(() => '');
const options = { clock: systemClock, log: createLogger('silent') };

test('requests, refused ones, and callers that leave', async () => {
  const path = join(folder, 'access.log');
  const server = await rawServer((socket, soFar) => {
    if (soFar.includes('/never')) return;
    socket.write(OK);
  });
  const { plane, port } = await startPlane(tables(cluster([host(server.port)])), {
    accessLogs: [plainAccessLog(path, 'text')],
  });
  await request(port, { path: '/one', headers: { 'user-agent': 'me' } });
  await request(port, { path: '/two', method: 'POST', body: 'abc' });
  await exchangeRaw(port, 'GET / HTTP/1.1\r\nHost : orders\r\n\r\n');
  const leaving = rawClient(port);
  leaving.socket.write('GET /never HTTP/1.1\r\nHost: orders\r\n\r\n');
  await until(() => server.received.some((text) => text.includes('/never')), 'the request');
  leaving.socket.destroy();
  await until(() => plane.stats().listeners[0]?.activeRequests === 0, 'its end');
  plane.close();
  await plane.logs.close();
  const lines = (await read(path)).split('\n').map((line) => line.replace(/^\[[^\]]+\] /, ''));
  expect(
    lines.map((line) => line.replace(/ \d+ (-|\d+) "/, ' T $1 "').replace(String(server.port), 'P')),
  ).toEqual([
    '"GET /one HTTP/1.1" 200 - 0 2 T - "127.0.0.1" "me" "-" "orders" "127.0.0.1:P"',
    '"POST /two HTTP/1.1" 200 - 3 2 T - "127.0.0.1" "-" "-" "orders" "127.0.0.1:P"',
    '"- - -" 400 DPE 0 23 T - "-" "-" "-" "-" "-"',
    '"GET /never HTTP/1.1" 0 DC 0 0 T - "127.0.0.1" "-" "-" "orders" "127.0.0.1:P"',
    '',
  ]);
  expect(plane.logs.counts).toMatchObject({ written: 4, dropped: 0 });
});

test('a file that was moved away is opened anew, and nothing is lost', async () => {
  const path = join(folder, 'a.log');
  const file = new LogFile(path, { ...options, flushMs: 1 });
  file.add('one\n');
  await eventually(async () => (await read(path)) === 'one\n', { what: 'the first line' });
  await rename(path, `${path}.1`);
  file.add('two\n');
  await eventually(async () => (await read(`${path}.1`)) === 'one\ntwo\n', { what: 'the old file' });
  file.reopen();
  file.add('three\n');
  await eventually(async () => (await read(path)) === 'three\n', { what: 'the new file' });
  await file.close();
  expect(await read(`${path}.1`)).toBe('one\ntwo\n');
  expect((await stat(path)).mode & 0o007).toBe(0);
});

test('what does not fit is dropped and counted; order and the rest are kept', async () => {
  const path = join(folder, 'b.log');
  const file = new LogFile(path, { ...options, flushMs: 60_000, maxBytes: 100 });
  for (let i = 0; i < 20; i += 1) file.add(`line ${String(i).padStart(3, '0')}\n`);
  expect(file.dropped).toBe(9);
  await file.close();
  const lines = (await read(path)).trimEnd().split('\n');
  expect(lines).toEqual(Array.from({ length: 11 }, (_, i) => `line ${String(i).padStart(3, '0')}`));
  file.add('late\n');
  expect(file.dropped).toBe(10);
});

test('a folder that is not there loses lines, and nothing else', async () => {
  const file = new LogFile(join(folder, 'no', 'c.log'), options);
  file.add('one\n');
  await file.close();
  expect({ written: file.written, dropped: file.dropped }).toEqual({ written: 0, dropped: 1 });
});
