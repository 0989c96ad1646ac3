// The source on a stub that answers as Nacos is documented to (test/support/nacos-stub.ts).
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createNacosSource } from '../../../../adapters/nacos/index.ts';
import { nacosSource } from '../../../../config/schema.ts';
import { IsthmusError, describeError } from '../../../../lib/errors.ts';
import { testDeps } from '../../../contract/fixtures/deps.ts';
import { Listener } from '../../../contract/listener.ts';
import { eventually } from '../../../support/eventually.ts';
import { NacosStub } from '../../../support/nacos-stub.ts';
import type { NacosStubOptions } from '../../../support/nacos-stub.ts';

const timings = { pollMs: 20, refreshMs: 200, answerMs: 1_000, backoffMs: 20, maxBackoffMs: 100 };
const A = { ip: '10.0.0.1', port: 8080 };
const B = { ip: '10.0.0.2', port: 8080 };

const stubs: NacosStub[] = [];
const listeners: Listener[] = [];
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'isthmus-nacos-'));
});
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
  await Promise.all(stubs.splice(0).map((stub) => stub.stop()));
  await rm(folder, { recursive: true, force: true });
});

async function stubOf(options: NacosStubOptions): Promise<{ stub: NacosStub; url: string }> {
  const stub = new NacosStub(options);
  stubs.push(stub);
  return { stub, url: await stub.start() };
}

function listen(urls: readonly string[], fields: object = {}, more: object = {}): Listener {
  const config = nacosSource.parse({ name: 'nacos', kind: 'nacos', urls, ...fields });
  const listener = new Listener(createNacosSource(config, testDeps(), { ...timings, ...more }));
  listeners.push(listener);
  return listener;
}

const synced = (listener: Listener) => eventually(() => listener.first === 'sync', { everyMs: 5 });
async function faultOf(listener: Listener): Promise<{ code: string; text: string; hint: string }> {
  const error = await eventually(() => listener.stale, { everyMs: 5 });
  const known = error instanceof IsthmusError;
  return { code: known ? error.code : '', text: describeError(error), hint: known ? error.hint : '' };
}

describe.each(['v1', 'v2', 'v3'] as const)('the API %s', (api) => {
  it('is found out, and gives services of all groups with all their instances', async () => {
    const { stub, url } = await stubOf({ api });
    stub.set('orders', [A, { ...B, enabled: false, weight: 2, clusterName: 'hz' }]);
    stub.set('billing', [{ ...A, healthy: false }], 'PAY');
    stub.set('empty', []);
    const listener = listen([url]);
    await synced(listener);
    expect([...listener.groups.keys()].sort()).toEqual(['billing.pay', 'empty.default', 'orders.default']);
    expect(listener.groups.get('orders.default')?.endpoints).toMatchObject([
      { address: A.ip, health: 'healthy', weight: 1, labels: { 'nacos.cluster': 'DEFAULT' } },
      { address: B.ip, health: 'draining', weight: 2, labels: { 'nacos.cluster': 'hz' } },
    ]);
    expect(listener.groups.get('billing.pay')?.endpoints).toMatchObject([{ health: 'unhealthy' }]);
    expect(listener.groups.get('empty.default')?.endpoints).toEqual([]);
  });

  it('lets us in with a password, and again when the token is refused', async () => {
    const { stub, url } = await stubOf({ api, user: { name: 'nacos', password: 'right' } });
    stub.set('orders', [A]);
    const listener = listen([url], { username: 'nacos', password: 'right' });
    await synced(listener);
    stub.tokens.clear();
    stub.set('orders', [A, B]);
    await eventually(() => listener.keys('orders.default').length === 2, { everyMs: 5 });
    expect(listener.log).not.toContain('stale');
    expect(stub.asked.join()).not.toMatch(/right|token-/);
  });

  it('says so when the password is wrong, or there is none', async () => {
    const { url } = await stubOf({ api, user: { name: 'nacos', password: 'right' } });
    for (const fields of [{}, { username: 'nacos', password: 'wrong' }]) {
      const fault = await faultOf(listen([url], fields));
      expect(fault.code).toBe('ISTHMUS_NACOS_DENIED');
      expect(fault.text).toContain(url);
      expect(fault.text).not.toContain('wrong');
      expect(fault.hint).toContain('`password`');
    }
  });

  it('reads a namespace, and says so when there is none of that ID', async () => {
    const { stub, url } = await stubOf({ api });
    stub.set('orders', [A], 'DEFAULT_GROUP', 'id-1');
    const listener = listen([url], { namespace: 'id-1' });
    await synced(listener);
    expect(listener.keys('orders.default')).toHaveLength(1);
    const fault = await faultOf(listen([url], { namespace: 'name of id-1' }));
    expect(fault.code).toBe('ISTHMUS_NACOS_NAMESPACE');
    expect(fault.text).toContain('id-1 (name of id-1)');
  });

  it('is read in pages, and a page too few is no removal', async () => {
    const { stub, url } = await stubOf({ api });
    for (let n = 0; n < 7; n += 1) stub.set(`s${n}`, [A, B, { ...A, port: 9 }]);
    const listener = listen([url], {}, { pageSize: 2 });
    await synced(listener);
    expect(listener.groups.size).toBe(7);
    expect(listener.keys('s3.default')).toHaveLength(3);
    // The second page is empty although the count says otherwise.
    const isSecond = (path: string) => path.endsWith('/services') || path.endsWith('/service/list');
    let pages = 0;
    stub.twist = (path, body) => {
      if (!isSecond(path)) return body;
      pages += 1;
      const text = JSON.stringify(body);
      return pages % 2 === 0
        ? JSON.parse(text.replace(/"(serviceList|pageItems)":\[.*?\]/, '"$1":[]'))
        : body;
    };
    expect((await faultOf(listener)).text).toMatch(/says it has 7 entries gives 2/);
    expect(listener.groups.size).toBe(7);
  });

  it('an empty answer about a service that is listed with instances is not believed', async () => {
    const { stub, url } = await stubOf({ api });
    stub.set('orders', [A, B]);
    const listener = listen([url]);
    await synced(listener);
    stub.twist = (path, body) => {
      if (!path.includes('/instance')) return body;
      if (api === 'v3') return { code: 0, message: 'success', data: [] };
      return api === 'v2' ? { code: 0, message: 'success', data: { count: 0 } } : { list: [], count: 0 };
    };
    expect((await faultOf(listener)).text).toContain(
      'lists DEFAULT_GROUP@@orders with 2 instances and shows none',
    );
    expect(listener.keys('orders.default')).toHaveLength(2);
  });

  it('a list of nothing that is right is believed', async () => {
    const { stub, url } = await stubOf({ api });
    stub.set('orders', [A]);
    const listener = listen([url]);
    await synced(listener);
    stub.set('orders', []);
    await eventually(() => listener.groups.get('orders.default')?.endpoints.length === 0, { everyMs: 5 });
    stub.remove('orders');
    await eventually(() => !listener.groups.has('orders.default'), { everyMs: 5 });
    expect(listener.log).not.toContain('stale');
  });

  it('what the counts do not show is found in turn', async () => {
    const { stub, url } = await stubOf({ api });
    stub.set('orders', [A]);
    const listener = listen([url]);
    await synced(listener);
    stub.set('orders', [{ ...A, weight: 5, enabled: false }]);
    const seen = () => listener.groups.get('orders.default')?.endpoints[0];
    await eventually(() => seen()?.weight === 5 && seen()?.health === 'draining', { everyMs: 5 });
  });
});

describe('several servers', () => {
  it('the next one is asked when one fails, each by its own API', async () => {
    const one = await stubOf({ api: 'v2' });
    const two = await stubOf({ api: 'v3' });
    for (const { stub } of [one, two]) stub.set('orders', [A]);
    const listener = listen([one.url, two.url]);
    await synced(listener);
    await one.stub.stop();
    two.stub.set('orders', [A, B]);
    await eventually(() => listener.keys('orders.default').length === 2, { everyMs: 5 });
    expect(listener.log).not.toContain('stale');
  });

  it('what each of them said, when none answers', async () => {
    const { url } = await stubOf({ api: 'v1', contextPath: '/elsewhere' });
    const fault = await faultOf(listen(['http://127.0.0.1:1', url]));
    expect(fault.code).toBe('ISTHMUS_NACOS_UNREACHABLE');
    expect(fault.text).toMatch(/any of 2 servers.*ECONNREFUSED.*none of Nacos's APIs/);
  });
});

describe('the address', () => {
  it('is the context path too', async () => {
    const { stub, url } = await stubOf({ api: 'v3', contextPath: '/reg' });
    stub.set('orders', [A]);
    for (const fields of [{ contextPath: '/reg' }, { contextPath: '/reg/' }]) {
      await synced(listen([url], fields));
    }
    await synced(listen([`${url}/reg/`]));
    const fault = await faultOf(listen([url]));
    expect(fault.code).toBe('ISTHMUS_NACOS_ANSWER');
    expect(fault.hint).toContain('`contextPath`');
  });

  it('of an API that is not spoken there', async () => {
    const { url } = await stubOf({ api: 'v3' });
    const fault = await faultOf(listen([url], { api: 'v1' }));
    expect(fault.text).toContain('does not speak the API v1');
  });
});

describe('files', () => {
  it('a password, read at each login', async () => {
    const { stub, url } = await stubOf({ api: 'v3', user: { name: 'nacos', password: 'one' } });
    stub.set('orders', [A]);
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, 'one\n');
    const listener = listen([url], { username: 'nacos', passwordFile });
    await synced(listener);
    await writeFile(passwordFile, 'two\n');
    stub.setPassword('two');
    stub.set('orders', [A, B]);
    await eventually(() => listener.keys('orders.default').length === 2, { everyMs: 5 });
  });

  it('a token, read again when it is refused', async () => {
    const { stub, url } = await stubOf({ api: 'v2', user: { name: 'nacos', password: 'one' } });
    stub.set('orders', [A]);
    stub.tokens.add('t1');
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, 't1\n');
    const listener = listen([url], { tokenFile });
    await synced(listener);
    await writeFile(tokenFile, 't2\n');
    stub.tokens.clear();
    stub.tokens.add('t2');
    stub.set('orders', [A, B]);
    await eventually(() => listener.keys('orders.default').length === 2, { everyMs: 5 });
  });

  it('that are not there are named', async () => {
    const missing = join(folder, 'none');
    const { url } = await stubOf({ api: 'v2' });
    for (const fields of [
      { tokenFile: missing },
      { username: 'a', passwordFile: missing },
      { tls: { ca: missing } },
    ]) {
      const fault = await faultOf(listen([url], fields));
      expect(fault.code).toBe('ISTHMUS_NACOS_FILE');
      expect(fault.text).toContain(missing);
    }
  });
});

it('only groups, clusters and services that take part are asked for', async () => {
  const { stub, url } = await stubOf({ api: 'v2' });
  stub.set(
    'orders',
    [
      { ...A, clusterName: 'hz' },
      { ...B, clusterName: 'sh' },
    ],
    'PAY',
  );
  stub.set('other', [A], 'PAY');
  stub.set('orders', [A], 'ELSE');
  const listener = listen([url], { groups: ['PAY'], clusters: ['hz'], include: { services: ['orders'] } });
  await synced(listener);
  expect([...listener.groups.keys()]).toEqual(['orders.pay']);
  expect(listener.keys('orders.pay')).toEqual(['10.0.0.1:8080']);
  expect(stub.asked.filter((path) => path.includes('other') || path.includes('ELSE'))).toEqual([]);
});

it('an idle registry is asked once for each service in the time that was given, and for the list', async () => {
  const { stub, url } = await stubOf({ api: 'v2' });
  for (let n = 0; n < 20; n += 1) stub.set(`s${n}`, [A]);
  const listener = listen([url], {}, { pollMs: 20, refreshMs: 3_600_000 });
  await synced(listener);
  const instances = () => stub.asked.filter((path) => path.includes('/catalog/instances')).length;
  const lists = () => stub.asked.filter((path) => path.includes('/catalog/services')).length;
  const [asked, listed] = [instances(), lists()];
  await eventually(() => lists() >= listed + 5, { everyMs: 5 });
  expect(instances()).toBe(asked);
});
