// The contract on a true ZooKeeper: its own faults, those of the network, and those of what is stored in it.
import { createHash } from 'node:crypto';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { connectZookeeper, zookeeperLibrary } from '../../adapters/zookeeper/client.ts';
import { systemClock } from '../../lib/clock.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { watchLeaks } from '../support/leaks.ts';
import type { Peer } from '../support/peer.ts';
import { TcpProxy } from './fixtures/tcp-proxy.ts';
import {
  curator,
  zookeeperBehindProxy,
  zookeeperFixture,
  zookeeperSourceOf,
} from './fixtures/zookeeper-registry.ts';
import { expire, onlyFor, zookeeperHand } from './fixtures/zookeeper.ts';
import type { ZookeeperHand } from './fixtures/zookeeper.ts';
import { Listener } from './listener.ts';
import { contract } from './suite.ts';

const source = zookeeperSourceOf;

describePeers(['zookeeper'], 'a ZooKeeper server', (start) =>
  contract(zookeeperFixture(start), zookeeperFixture(start)),
);
describePeers(['zookeeper'], 'a ZooKeeper server behind a bad network', (start) =>
  contract(zookeeperBehindProxy(start)),
);

describePeers(['zookeeper'], 'a ZooKeeper server, in its own ways', (start) => {
  let peer: Peer;
  let hand: ZookeeperHand;
  let port = 0;
  const listeners: Listener[] = [];
  const listen = async (more: object = {}, ports = [port]) => {
    const listener = new Listener(await source(ports, { include: { services: ['*'] }, ...more }));
    listeners.push(listener);
    return listener;
  };
  const soon = <T>(check: () => T) => eventually(check, { withinMs: 10_000, everyMs: 10 });

  beforeAll(async () => {
    peer = await start('zookeeper');
    port = peer.ports['client'] ?? 0;
    hand = await zookeeperHand(port);
    return () => hand.close();
  });
  afterEach(async () => {
    await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
  });

  test('an empty service is known, a service whose node goes is gone', async () => {
    await hand.put('/empty/orders', '');
    const listener = await listen({ path: '/empty' });
    await soon(() => listener.groups.has('orders.default'));
    expect(listener.keys('orders.default')).toEqual([]);
    await hand.put('/empty/orders/1', curator('10.0.0.1', 80));
    await soon(() => listener.keys('orders.default').length === 1);
    await hand.deleteAll('/empty/orders');
    await soon(() => !listener.groups.has('orders.default'));
    await hand.put('/empty/orders/1', curator('10.0.0.2', 80));
    await soon(() => listener.keys('orders.default')[0] === '10.0.0.2:80');
  });

  test('a path that does not exist is one clear fault, and is read once it exists', async () => {
    await hand.put('/there/orders/1', curator('10.0.0.1', 80));
    const listener = await listen({ path: '/there/prod/services' });
    await soon(() => listener.stale !== undefined);
    expect(listener.stale).toMatchObject({ code: 'ISTHMUS_ZOOKEEPER_PATH' });
    expect(listener.stale?.message).toContain('/there/prod/services; under /there there is: orders');
    await hand.put('/there/prod/services/orders/1', curator('10.0.0.2', 80));
    await soon(() => listener.keys('orders.default').length === 1);
    // Emptied: what was there is held, as a path that is gone is no answer.
    await hand.deleteAll('/there/prod');
    await soon(() => (listener.stale as { code?: string } | undefined)?.code === 'ISTHMUS_ZOOKEEPER_PATH');
  });

  test('a chroot behind the servers', async () => {
    await hand.put('/chroot/services/orders/1', curator('10.0.0.1', 80));
    const listener = await listen({ servers: `127.0.0.1:${port}/chroot` });
    await soon(() => listener.keys('orders.default').length === 1);
  });

  test('the wrong layout is one clear fault', async () => {
    await hand.put('/wrong/orders/1', JSON.stringify({ host: '10.0.0.1', port: 80 }));
    const listener = await listen({ path: '/wrong' });
    await soon(() => listener.stale !== undefined);
    expect(listener.stale).toMatchObject({ code: 'ISTHMUS_ZOOKEEPER_LAYOUT' });
    expect(listener.stale?.message).toContain('/wrong/orders/1: address');
    const right = await listen({ path: '/wrong', layout: 'nerve' });
    await soon(() => right.keys('orders.default').length === 1);
  });

  test('bad data keeps the last good one and hides no other', async () => {
    await hand.put('/bad/orders/1', curator('10.0.0.1', 80));
    await hand.put('/bad/orders/2', curator('10.0.0.2', 80));
    const proxy = new TcpProxy(port);
    const listener = await listen({ path: '/bad' }, [await proxy.start()]);
    await soon(() => listener.keys('orders.default').length === 2);
    await hand.put('/bad/orders/1', '{"address":');
    await hand.put('/bad/orders/3', curator('10.0.0.3', 80));
    await soon(() => listener.keys('orders.default').length === 3);
    const syncs = listener.log.filter((type) => type === 'sync').length;
    proxy.cutAll();
    await soon(() => listener.log.filter((type) => type === 'sync').length > syncs);
    expect(listener.keys('orders.default')).toEqual(['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']);
    await hand.delete('/bad/orders/1');
    await soon(() => listener.keys('orders.default').length === 2);
    await listener.stop();
    await proxy.stop();
  });

  test('dubbo: providers come, are disabled, go', async () => {
    const provider = (address: string, query: string) =>
      `/dubbo/org.acme.Orders/providers/${encodeURIComponent(`dubbo://${address}:20880/org.acme.Orders?${query}`)}`;
    await hand.put('/dubbo/config/dubbo', '');
    await hand.put('/dubbo/org.acme.Orders/consumers/x', '');
    const listener = await listen({ path: '/dubbo', layout: 'dubbo' });
    await soon(() => listener.first === 'sync');
    await hand.put(provider('10.0.0.1', 'version=1.0&weight=200'), '');
    await hand.put(provider('10.0.0.2', 'version=1.0'), '');
    await soon(() => listener.keys('org.acme.orders.default').length === 2);
    const endpoints = () => listener.groups.get('org.acme.orders.default')?.endpoints ?? [];
    expect(endpoints().map((e) => e.weight)).toEqual([2, 1]);
    await hand.put(provider('10.0.0.2', 'version=1.0&disabled=true'), '');
    await soon(() => endpoints()[1]?.health === 'draining');
    await hand.delete(provider('10.0.0.1', 'version=1.0&weight=200'));
    await soon(() => endpoints().length === 1);
  });

  test('serversets, nested', async () => {
    const member = (host: string, status: string) =>
      JSON.stringify({ serviceEndpoint: { host, port: 80 }, additionalEndpoints: {}, status });
    await hand.put('/sets/www/prod/orders/member_0000000001', member('10.0.0.1', 'ALIVE'));
    await hand.put('/sets/www/prod/orders/member_0000000002', member('10.0.0.2', 'STARTING'));
    const listener = await listen({ path: '/sets', layout: 'serverset' });
    await soon(() => listener.keys('orders.www-prod').length === 2);
    expect(listener.groups.get('orders.www-prod')?.endpoints.map((e) => e.health)).toEqual([
      'healthy',
      'unhealthy',
    ]);
    await hand.delete('/sets/www/prod/orders/member_0000000001');
    await soon(() => listener.keys('orders.www-prod').length === 1);
  });

  test('a server that does not answer is left for the next one', async () => {
    await hand.put('/two/orders/1', curator('10.0.0.1', 80));
    const dead = new TcpProxy(port);
    const deadPort = await dead.start();
    await dead.fault('hangs', { type: 'hang' }).begin();
    const listener = await listen({ path: '/two' }, [deadPort, port]);
    await soon(() => listener.keys('orders.default').length === 1);
    await listener.stop();
    await dead.stop();
  });

  test('a session that the server ends is noticed, and a new one is whole', async () => {
    await hand.put('/session/orders/1', curator('10.0.0.1', 80));
    const noLeaks = watchLeaks();
    const client = connectZookeeper(await zookeeperLibrary(), {
      server: { host: '127.0.0.1', port },
      auth: '',
      sessionMs: 4_000,
      answerMs: 1_000,
      clock: systemClock,
    });
    expect(await client.children('/session')).toEqual(['orders']);
    const { id, password } = client.session();
    await expire(port, id, password);
    await expect(client.over).rejects.toMatchObject({ code: 'ISTHMUS_ZOOKEEPER_UNREACHABLE' });
    await expect(client.children('/session')).rejects.toThrow();
    client.close();
    await noLeaks();
  });

  test('a source whose session the server ends is stale, and then as live as before', async () => {
    await hand.put('/expiry/orders/1', curator('10.0.0.1', 80));
    const proxy = new TcpProxy(port);
    const listener = await listen({ path: '/expiry' }, [await proxy.start()]);
    await soon(() => listener.keys('orders.default').length === 1);
    // Length, protocol, timeout; then the session's number, its password's length, its password.
    const answer = proxy.beginnings.at(-1) ?? Buffer.alloc(0);
    await expire(port, answer.subarray(12, 20), answer.subarray(24, 40));
    await soon(() => listener.log.includes('stale'));
    expect(listener.keys('orders.default')).toEqual(['10.0.0.1:80']);
    await soon(() => listener.stale === undefined);
    await hand.put('/expiry/orders/2', curator('10.0.0.2', 80));
    await soon(() => listener.keys('orders.default').length === 2);
    expect(listener.logOf('orders.default')).not.toContain('gone');
    await listener.stop();
    await proxy.stop();
  });

  test('users: wrong, right, revoked, restored', async () => {
    const digest = createHash('sha1').update('reader:reads').digest('base64');
    await hand.put('/acl/orders/1', curator('10.0.0.1', 80));
    const owner = await zookeeperHand(port, 'reader:reads');
    const lock = () => hand.setAcl('/acl', onlyFor(`reader:${digest}`));
    await lock();
    const nobody = await listen({ path: '/acl' });
    await soon(() => nobody.stale !== undefined);
    expect(nobody.stale).toMatchObject({ code: 'ISTHMUS_ZOOKEEPER_DENIED' });
    expect(nobody.stale?.message).toContain('/acl');
    const wrong = await listen({ path: '/acl', auth: 'reader:guess' });
    await soon(() => wrong.stale !== undefined);
    expect(wrong.stale).toMatchObject({ code: 'ISTHMUS_ZOOKEEPER_DENIED' });
    expect(wrong.stale?.message).not.toContain('guess');
    const reader = await listen({ path: '/acl', auth: 'reader:reads' });
    await soon(() => reader.keys('orders.default').length === 1);
    const other = createHash('sha1').update('other:others').digest('base64');
    await owner.setAcl('/acl', onlyFor(`other:${other}`));
    await soon(() => reader.stale !== undefined);
    expect(reader.keys('orders.default')).toEqual(['10.0.0.1:80']);
    const others = await zookeeperHand(port, 'other:others');
    await others.setAcl('/acl', onlyFor(`reader:${digest}`));
    await soon(() => reader.stale === undefined);
    await owner.put('/acl/orders/2', curator('10.0.0.2', 80));
    await soon(() => reader.keys('orders.default').length === 2);
    others.close();
    owner.close();
  });

  test('restarted empty: what was there is held, as the path is gone', async () => {
    await hand.put('/store/orders/1', curator('10.0.0.1', 80));
    const other = await start('zookeeper');
    const proxies = [new TcpProxy(port), new TcpProxy(other.ports['client'] ?? 0)] as const;
    const ports = [await proxies[0].start(), await proxies[1].start()];
    const listener = await listen({ path: '/store' }, ports);
    await soon(() => listener.keys('orders.default').length === 1);
    await proxies[0].fault('gone', { type: 'refuse' }).begin();
    await soon(() => (listener.stale as { code?: string } | undefined)?.code === 'ISTHMUS_ZOOKEEPER_PATH');
    expect(listener.keys('orders.default')).toEqual(['10.0.0.1:80']);
    const otherHand = await zookeeperHand(other.ports['client'] ?? 0);
    await otherHand.put('/store/payments/1', curator('10.0.0.2', 80));
    await soon(() => listener.groups.has('payments.default') && !listener.groups.has('orders.default'));
    otherHand.close();
    await listener.stop();
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  });
});
