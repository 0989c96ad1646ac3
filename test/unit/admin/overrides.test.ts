import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Hono } from 'hono';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adminApp } from '../../../admin/app.ts';
import { ensureToken, writeGuard } from '../../../admin/token.ts';
import { OverrideBook } from '../../../aggregator/overrides/book.ts';
import { ManualClock } from '../../../lib/clock.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import { NOW, SNAPSHOT } from './fixture.ts';

const PATH = '/api/v1/services/orders/endpoints/10.0.0.1%3A8080/override';
const log = createLogger('silent');

let dir: string;
let tokenFile: string;
let token: string;
let app: Hono;
let book: OverrideBook;

const build = (file: string): Hono =>
  adminApp(
    {
      snapshot: () => SNAPSHOT,
      proxies: () => [],
      preview: () => [],
      configDump: () => null,
      endpointsDump: () => null,
      ready: () => ({ ready: true, checks: [] }),
      overrides: book,
      retirement: { of: () => undefined, retire: () => Promise.reject(new Error('no writes in this test')) },
      migrations: { reports: () => [], obey: () => Promise.reject(new Error('no migrations in this test')) },
      resources: {
        list: () => [],
        put: () => Promise.reject(new Error('no writes in this test')),
        remove: () => Promise.reject(new Error('no writes in this test')),
      },
      mayWrite: writeGuard(file),
      explain: {
        notes: () => undefined,
        policyOrigin: () => 'default',
        leftOut: { of: () => [], names: () => [] },
      },
      load: { rows: () => [], reporters: () => [] },
      metrics: createMetrics(),
      clock: new ManualClock(NOW),
      log,
    },
    '127.0.0.1',
  );

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-admin-'));
  tokenFile = join(dir, 'data', 'admin-token');
  await ensureToken(tokenFile, log);
  token = (await readFile(tokenFile, 'utf8')).trim();
  book = await OverrideBook.open({
    file: join(dir, 'overrides.json'),
    clock: new ManualClock(NOW),
    log,
    apply: () => undefined,
    onChange: () => undefined,
  });
  app = build(tokenFile);
});
afterEach(async () => {
  await book.close();
  await rm(dir, { recursive: true });
});

interface Asked {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly authorization?: string | undefined;
}

async function ask(path: string, { method = 'PUT', body, headers = {}, ...more }: Asked = {}) {
  const authorization = 'authorization' in more ? more.authorization : `Bearer ${token}`;
  const answer = await app.request(`http://127.0.0.1${path}`, {
    method,
    headers: {
      host: '127.0.0.1',
      'content-type': 'application/json',
      ...(authorization === undefined ? {} : { authorization }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  });
  return { status: answer.status, headers: answer.headers, json: await answer.json() };
}

const refused = (code: string) => ({ json: { error: { code } } });

describe('the token', () => {
  it('is made once, for its owner alone', async () => {
    expect(token).toMatch(/^[\w-]{43}$/);
    expect((await stat(tokenFile)).mode & 0o777).toBe(0o600);
    await ensureToken(tokenFile, log);
    expect((await readFile(tokenFile, 'utf8')).trim()).toBe(token);
  });

  it('is asked of every write, and of no read', async () => {
    const none = await ask(PATH, { body: '{"drain":true}', authorization: undefined });
    expect(none).toMatchObject({ status: 401, ...refused('ISTHMUS_ADMIN_TOKEN_MISSING') });
    expect(none.headers.get('www-authenticate')).toBe('Bearer');
    expect(JSON.stringify(none.json)).toContain('admin-token');
    for (const wrong of [`Bearer ${token}x`, `Bearer ${token.slice(1)}`, 'Bearer x']) {
      expect(await ask(PATH, { body: '{"drain":true}', authorization: wrong })).toMatchObject({
        status: 403,
        ...refused('ISTHMUS_ADMIN_TOKEN_WRONG'),
      });
    }
    const basic = await ask(PATH, { method: 'DELETE', authorization: 'Basic YTpi' });
    expect(basic.status).toBe(401);
    expect(book.list()).toEqual([]);
    expect((await ask('/api/v1/overrides', { method: 'GET', authorization: undefined })).status).toBe(200);
  });

  it('that is empty, short or gone lets nobody in; one that was replaced counts at once', async () => {
    for (const text of ['', '\n', 'short']) {
      await writeFile(tokenFile, text);
      for (const authorization of ['Bearer ', `Bearer ${text}`, `Bearer ${token}`]) {
        expect([401, 503]).toContain((await ask(PATH, { body: '{"drain":true}', authorization })).status);
      }
    }
    const next = 'another-token-of-some-length';
    await writeFile(tokenFile, `${next}\n`);
    expect((await ask(PATH, { body: '{"drain":true}' })).status).toBe(403);
    expect((await ask(PATH, { body: '{"drain":true}', authorization: `Bearer ${next}` })).status).toBe(200);
    await rm(tokenFile);
    expect(await ask(PATH, { body: '{"drain":true}' })).toMatchObject({
      status: 503,
      ...refused('ISTHMUS_ADMIN_TOKEN_FILE'),
    });
  });

  it('without one, writes are off', async () => {
    app = build('');
    expect(await ask(PATH, { body: '{"drain":true}' })).toMatchObject({
      status: 403,
      ...refused('ISTHMUS_ADMIN_WRITES_OFF'),
    });
  });
});

describe('a write', () => {
  it('sets, lists and removes', async () => {
    const body = '{"drain":true,"labels":{"version":"2"},"for":"10m","reason":"disk","by":"ada@host"}';
    const expected = {
      service: 'orders.default',
      address: '10.0.0.1:8080',
      drain: true,
      weight: null,
      labels: { version: '2' },
      since: '2026-01-02T03:04:05.000Z',
      until: '2026-01-02T03:14:05.000Z',
      remainingSeconds: 600,
      reason: 'disk',
      by: 'ada@host',
      revision: expect.stringMatching(/^\w+-\w+$/) as string,
    };
    expect(await ask(PATH, { body })).toMatchObject({ status: 200, json: { ...expected, notes: [] } });
    expect((await ask('/api/v1/overrides', { method: 'GET' })).json).toEqual({ items: [expected] });
    expect((await ask(PATH, { method: 'DELETE' })).json).toEqual({
      service: 'orders.default',
      address: '10.0.0.1:8080',
      removed: expected,
      notes: [],
    });
    expect((await ask(PATH, { method: 'DELETE', body: '{"by":"ada"}' })).json).toMatchObject({
      removed: null,
    });
  });

  it('is compared with the revision that the writer knows: 409 says what is there and what to do', async () => {
    const first = await ask(PATH, { body: '{"drain":true}', headers: { 'if-none-match': '*' } });
    expect(first.status).toBe(200);
    const { revision } = first.json as { revision: string };
    expect(first.headers.get('etag')).toBe(`"${revision}"`);
    const again = await ask(PATH, { body: '{"weight":2}', headers: { 'if-none-match': '*' } });
    expect(again).toMatchObject({ status: 409, ...refused('ISTHMUS_REVISION_CONFLICT') });
    expect(JSON.stringify(again.json)).toContain(revision);
    const next = await ask(PATH, { body: '{"weight":2}', headers: { 'if-match': `"${revision}"` } });
    expect(next.status).toBe(200);
    for (const method of ['PUT', 'DELETE']) {
      const late = await ask(PATH, { method, body: '{}', headers: { 'if-match': `"${revision}"` } });
      expect([400, 409]).toContain(late.status);
    }
    const now = `"${(next.json as { revision: string }).revision}"`;
    for (const bad of ['abc', '*', '"a", "b"']) {
      expect((await ask(PATH, { method: 'DELETE', headers: { 'if-match': bad } })).status).toBe(400);
    }
    expect((await ask(PATH, { method: 'DELETE', headers: { 'if-match': now } })).status).toBe(200);
    expect((await ask(PATH, { method: 'DELETE', headers: { 'if-match': now } })).status).toBe(409);
  });

  it('lasts an hour when it does not say, and takes what is not there with a note', async () => {
    for (const [name, address, key] of [
      ['nobody', '10.9.9.9:1', '10.9.9.9:1'],
      ['orders', '[::0:1]:80', '[::1]:80'],
      ['payments.shop', 'dc2/10.1.0.9:8080', 'dc2/10.1.0.9:8080'],
    ] as const) {
      const path = `/api/v1/services/${name}/endpoints/${encodeURIComponent(address)}/override`;
      expect(await ask(path, { body: '{"weight":0}' })).toMatchObject({
        status: 200,
        json: {
          address: key,
          weight: 0,
          remainingSeconds: 3_600,
          notes: [expect.stringContaining('matches nothing now')],
        },
      });
    }
  });

  it('tells everything that is wrong at once', async () => {
    const path = '/api/v1/services/orders/endpoints/10.0.0.1/override';
    const body = '{"weight":-1,"for":"40d","drain":false,"colour":"red","reason":"a\\u0007"}';
    const { status, json } = await ask(path, { body });
    expect(status).toBe(400);
    const { error } = json as { error: { code: string; message: string } };
    expect(error.code).toBe('ISTHMUS_ADMIN_BODY');
    for (const word of ['address: ', 'weight: ', 'for: ', 'drain: ', 'colour', 'reason: '])
      expect(error.message).toContain(word);
    expect(book.list()).toEqual([]);
  });

  it.each([
    ['{}', 'one of drain, weight and labels'],
    ['', 'one of drain, weight and labels'],
    ['{', 'no JSON'],
    ['[]', 'expected object'],
    ['{"drain":true,"for":"31d"}', 'from 1s to 30d'],
    ['{"drain":true,"for":"0"}', 'from 1s to 30d'],
  ])('%j is refused: %s', async (body, why) => {
    const answer = await ask(PATH, { body });
    expect(answer).toMatchObject({ status: 400, ...refused('ISTHMUS_ADMIN_BODY') });
    expect(JSON.stringify(answer.json)).toContain(why);
  });

  it('is JSON of 64 KiB at most, sent to this server by no other page', async () => {
    const form = { 'content-type': 'text/plain' };
    for (const method of ['PUT', 'DELETE']) {
      expect(await ask(PATH, { method, body: '{"drain":true}', headers: form })).toMatchObject({
        status: 415,
      });
    }
    const large = JSON.stringify({ drain: true, reason: 'x'.repeat(65 * 1024) });
    expect(await ask(PATH, { body: large })).toMatchObject({ status: 413 });
    expect(
      (await ask(PATH, { body: '{"drain":true}', headers: { origin: 'http://evil.example' } })).status,
    ).toBe(403);
    expect((await ask(PATH, { body: '{"drain":true}', headers: { host: 'evil.example' } })).status).toBe(403);
    expect(book.list()).toEqual([]);
  });

  it('goes nowhere else', async () => {
    const elsewhere = await ask('/api/v1/services', { body: '{}' });
    expect(elsewhere.status).toBe(405);
    expect(elsewhere.headers.get('allow')).toBe('GET, HEAD');
    const post = await ask(PATH, { method: 'POST', body: '{}' });
    expect(post.status).toBe(405);
    expect(post.headers.get('allow')).toBe('PUT, DELETE');
  });
});
