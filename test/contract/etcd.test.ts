// The contract on a true etcd: its own faults, those of the network, and those of what is stored in it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { makeCertificates } from '../support/certificates.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import type { Peer } from '../support/peer.ts';
import { tlsFront } from '../support/tls-front.ts';
import type { TlsFront } from '../support/tls-front.ts';
import { etcdHand } from './fixtures/etcd.ts';
import type { EtcdHand } from './fixtures/etcd.ts';
import { etcdBehindProxy, etcdFixture, etcdSourceOf } from './fixtures/etcd-registry.ts';
import { TcpProxy } from './fixtures/tcp-proxy.ts';
import { Listener } from './listener.ts';
import { contract } from './suite.ts';

const source = etcdSourceOf;

describePeers(['etcd'], 'an etcd server', (start) => contract(etcdFixture(start), etcdFixture(start)));
describePeers(['etcd'], 'an etcd server behind a bad network', (start) => contract(etcdBehindProxy(start)));

describePeers(['etcd'], 'an etcd server, in its own ways', (start) => {
  let etcd: Peer;
  let hand: EtcdHand;
  const listeners: Listener[] = [];
  const listen = async (more: object = {}, endpoints = [etcd.url]) => {
    const listener = new Listener(await source(endpoints, { include: { services: ['*'] }, ...more }));
    listeners.push(listener);
    return listener;
  };
  const soon = <T>(check: () => T) => eventually(check, { withinMs: 10_000, everyMs: 10 });
  const value = (address: string, more: object = {}) => JSON.stringify({ address, port: 80, ...more });

  beforeAll(async () => {
    etcd = await start('etcd');
    hand = etcdHand(etcd.url);
    return async () => {
      await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
    };
  });

  test('a compaction while it was away: listed anew, nothing lost, and it goes on', async () => {
    const proxy = new TcpProxy(etcd.ports['client'] ?? 0);
    const endpoint = `127.0.0.1:${await proxy.start()}`;
    await hand.put('/c/old/1', value('10.0.0.1'));
    await hand.put('/c/kept/1', value('10.0.0.2'));
    const listener = await listen({ prefix: '/c' }, [endpoint]);
    await soon(() => listener.keys('kept.default').length === 1);
    const fault = proxy.fault('away', { type: 'refuse' });
    await fault.begin();
    await soon(() => listener.stale !== undefined);
    await hand.delete('/c/old/1');
    await hand.put('/c/new/1', value('10.0.0.3'));
    await hand.put('/c/newer/1', value('10.0.0.4'));
    await hand.compact(await hand.revision());
    await fault.end();
    await soon(() => listener.stale === undefined && listener.groups.size === 3);
    expect([...listener.groups.keys()].sort()).toEqual(['kept.default', 'new.default', 'newer.default']);
    await hand.put('/c/new/2', value('10.0.0.5'));
    await soon(() => listener.keys('new.default').length === 2);
    await listener.stop();
    await proxy.stop();
  });

  test('a lease that ends takes the instance with it', async () => {
    const listener = await listen({ prefix: '/lease/' });
    const lease = await hand.lease(1);
    await hand.put('/lease/orders/1', value('10.0.0.1'), lease);
    await soon(() => listener.keys('orders.default').length === 1);
    await soon(() => !listener.groups.has('orders.default'));
  });

  test('a bad value keeps the last good one, over a new list too, and hides no other', async () => {
    await hand.put('/bad/orders/1', value('10.0.0.1'));
    await hand.put('/bad/orders/2', value('10.0.0.2'));
    const proxy = new TcpProxy(etcd.ports['client'] ?? 0);
    const listener = await listen({ prefix: '/bad/' }, [`127.0.0.1:${await proxy.start()}`]);
    await soon(() => listener.keys('orders.default').length === 2);
    await hand.put('/bad/orders/1', '{"address":');
    await hand.put('/bad/orders/3', value('10.0.0.3'));
    await soon(() => listener.keys('orders.default').length === 3);
    const syncs = listener.log.filter((type) => type === 'sync').length;
    proxy.cutAll();
    await soon(() => listener.log.filter((type) => type === 'sync').length > syncs);
    expect(listener.keys('orders.default')).toEqual(['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']);
    await hand.put('/bad/orders/1', value('10.0.0.9'));
    await soon(() => listener.keys('orders.default').includes('10.0.0.9:80'));
    await hand.delete('/bad/orders/1');
    await soon(() => listener.keys('orders.default').length === 2);
    await listener.stop();
    await proxy.stop();
  });

  test('the wrong layout is one clear fault', async () => {
    await hand.put('/wrong/orders/1', JSON.stringify({ Op: 0, Addr: '10.0.0.1:8080' }));
    const listener = await listen({ prefix: '/wrong/', layout: 'json' });
    await soon(() => listener.stale !== undefined);
    expect(listener.stale).toMatchObject({ code: 'ISTHMUS_ETCD_LAYOUT' });
    expect(listener.stale?.message).toContain('/wrong/orders/1');
    expect(listener.stale?.message).toContain('{"address":"10.0.0.1","port":8080}');
    const right = await listen({ prefix: '/wrong/', layout: 'grpc-naming' });
    await soon(() => right.keys('orders.default').length === 1);
  });

  test('a member that does not answer is left for the next one', async () => {
    await hand.put('/two/orders/1', value('10.0.0.1'));
    const dead = new TcpProxy(1);
    const endpoints = [`127.0.0.1:${await dead.start()}`, etcd.url];
    const listener = await listen({ prefix: '/two/' }, endpoints);
    await soon(() => listener.keys('orders.default').length === 1);
    await listener.stop();
    await dead.stop();
  });

  test('restarted with another store: what it holds now is told', async () => {
    await hand.put('/store/orders/1', value('10.0.0.1'));
    const other = await start('etcd');
    const otherHand = etcdHand(other.url);
    await otherHand.put('/store/payments/1', value('10.0.0.2'));
    let target = etcd.ports['client'] ?? 0;
    const proxies = [new TcpProxy(target), new TcpProxy(other.ports['client'] ?? 0)] as const;
    const ports = [await proxies[0].start(), await proxies[1].start()];
    const listener = await listen(
      { prefix: '/store/' },
      ports.map((port) => `127.0.0.1:${port}`),
    );
    await soon(() => listener.keys('orders.default').length === 1);
    target = 0;
    await proxies[0].fault('gone', { type: 'refuse' }).begin();
    await soon(() => listener.groups.has('payments.default'));
    expect([...listener.groups.keys()]).toEqual(['payments.default']);
    await listener.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  });

  // Last: from here on the server asks who we are.
  test('users and passwords: wrong, not granted, granted, revoked', async () => {
    await hand.put('/auth/orders/1', value('10.0.0.1'));
    const user = async (name: string, password: string) => hand.post('auth/user/add', { name, password });
    await user('root', 'secret');
    await user('reader', 'reads');
    await hand.post('auth/role/add', { name: 'root' });
    await hand.post('auth/role/add', { name: 'read-auth' });
    await hand.post('auth/user/grant', { user: 'root', role: 'root' });
    await hand.post('auth/enable', {});
    const { token } = await hand.post('auth/authenticate', { name: 'root', password: 'secret' });
    const root = etcdHand(etcd.url, async () => token as string);
    const base64 = (text: string) => Buffer.from(text).toString('base64');

    const nobody = await listen({ prefix: '/auth/' });
    await soon(() => nobody.stale !== undefined);
    expect(nobody.stale).toMatchObject({ code: 'ISTHMUS_ETCD_DENIED' });
    const wrong = await listen({ prefix: '/auth/', auth: { username: 'reader', password: 'guess' } });
    await soon(() => wrong.stale !== undefined);
    expect(wrong.stale).toMatchObject({ code: 'ISTHMUS_ETCD_DENIED' });
    expect(wrong.stale?.message).not.toContain('guess');

    const reader = await listen({ prefix: '/auth/', auth: { username: 'reader', password: 'reads' } });
    await soon(() => reader.stale !== undefined);
    expect(reader.stale).toMatchObject({ code: 'ISTHMUS_ETCD_DENIED' });
    expect(reader.stale?.message).toContain('permission denied');
    const perm = { permType: 'READ', key: base64('/auth/'), range_end: base64('/auth0') };
    await root.post('auth/role/grant', { name: 'read-auth', perm });
    await root.post('auth/user/grant', { user: 'reader', role: 'read-auth' });
    await soon(() => reader.keys('orders.default').length === 1);

    await root.post('auth/user/revoke', { name: 'reader', role: 'read-auth' });
    await soon(() => reader.stale !== undefined);
    expect(reader.keys('orders.default')).toEqual(['10.0.0.1:80']);
    await root.post('auth/user/grant', { user: 'reader', role: 'read-auth' });
    await soon(() => reader.stale === undefined);
    await root.put('/auth/orders/2', value('10.0.0.2'));
    await soon(() => reader.keys('orders.default').length === 2);
  });
});

describePeers(['etcd'], 'three etcd members', (start) => {
  test('a member that is cut off from the others is noticed, a dead one left for the next', async () => {
    const names = ['a', 'b', 'c'];
    const ports = await Promise.all(names.map(() => freePort()));
    const urlOf = (n: number) => `http://127.0.0.1:${ports[n]}`;
    const cluster = names.map((name, n) => `${name}=${urlOf(n)}`).join(',');
    const members = await Promise.all(
      names.map((name, n) =>
        start('etcd', {
          args: [
            `--name=${name}`,
            `--listen-peer-urls=${urlOf(n)}`,
            `--initial-advertise-peer-urls=${urlOf(n)}`,
            `--initial-cluster=${cluster}`,
          ],
        }),
      ),
    );
    const [a, b, c] = members as [Peer, Peer, Peer];
    const soon = <T>(check: () => T) => eventually(check, { withinMs: 20_000, everyMs: 20 });
    const value = (address: string) => JSON.stringify({ address, port: 80 });
    await etcdHand(a.url).put('/services/svc-a/1', value('10.0.0.1'));
    const listener = new Listener(await source([a.url]));
    const mobile = new Listener(await source([a.url, b.url, c.url]));
    await soon(() => [listener, mobile].every((l) => l.keys('svc-a.default').length === 1));

    // Alive, reachable, and without a majority: its own copy would still answer.
    await Promise.all([b.pause(), c.pause()]);
    await soon(() => listener.stale !== undefined);
    expect(listener.keys('svc-a.default')).toHaveLength(1);
    await Promise.all([b.resume(), c.resume()]);
    await soon(() => listener.stale === undefined);

    await a.kill();
    await soon(() => listener.stale !== undefined);
    await soon(() => mobile.stale === undefined);
    await eventually(() => etcdHand(b.url).put('/services/svc-a/2', value('10.0.0.2')));
    await soon(() => mobile.keys('svc-a.default').length === 2);
    await Promise.all([listener.stop(), mobile.stop()]);
  });
});

describePeers(['etcd'], 'an etcd server behind TLS', (start) => {
  let dir = '';
  let front: TlsFront | undefined;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'isthmus-etcd-tls-'));
    return async () => {
      await front?.close();
      await rm(dir, { recursive: true, force: true });
    };
  });

  test('reads with a client certificate, and says what is wrong without', async (context) => {
    try {
      await makeCertificates(dir);
    } catch {
      return context.skip('no openssl that makes certificates');
    }
    const etcd = await start('etcd');
    await etcdHand(etcd.url).put('/services/svc-tls/1', JSON.stringify({ address: '10.0.0.1', port: 80 }));
    const at = (name: string) => join(dir, name);
    front = await tlsFront(dir, etcd.ports['client'] ?? 0, { requireClient: true, alpn: ['h2'] });
    const endpoint = `https://127.0.0.1:${front.port}`;

    const attempts = {
      good: { ca: at('ca.pem'), cert: at('client.pem'), key: at('client.key') },
      unknownAuthority: { cert: at('client.pem'), key: at('client.key') },
      noClient: { ca: at('ca.pem') },
      noFile: { ca: at('nowhere.pem') },
      noPem: { ca: at('ca.pem'), cert: at('ca.srl'), key: at('client.key') },
    };
    const outcome = async (tls: object): Promise<string> => {
      const listener = new Listener(await source([endpoint], { tls }));
      const told = await eventually(
        () => listener.stale ?? (listener.keys('svc-tls.default').length === 1 ? 'live' : undefined),
      );
      await listener.stop();
      return typeof told === 'string' ? told : `${(told as { code?: string }).code}: ${told.message}`;
    };
    expect(await outcome(attempts.good)).toBe('live');
    expect(await outcome(attempts.unknownAuthority)).toMatch(/ETCD_UNREACHABLE.*certificate/);
    expect(await outcome(attempts.noClient)).toMatch(/ETCD_UNREACHABLE/);
    expect(await outcome(attempts.noFile)).toMatch(/ETCD_TLS: tls.ca: .*nowhere.pem/);
    expect(await outcome(attempts.noPem)).toMatch(/ETCD_TLS/);
  });
});
