import { describe, expect, it } from 'vitest';
import { isOnLoopback, mayPing } from '../../../../adapters/probe/reach.ts';
import { sourceSchema } from '../../../../config/schema.ts';
import { endpoint } from '../../aggregator/keeper/world.ts';

const reach = { networks: [''], isLocal: false };
const may = (address: string, isLocal = false) => mayPing(endpoint(address), { ...reach, isLocal });

describe('pings go', () => {
  it('to addresses of the network', () => {
    for (const address of ['10.0.0.1', '192.168.1.1', '8.8.8.8', '2001:db8::1', 'fd00::1']) {
      expect([address, may(address)]).toEqual([address, true]);
    }
  });

  it('never to link-local, multicast or metadata addresses, nor to names', () => {
    const never = ['169.254.169.254', '0.0.0.0', '224.0.0.1', '255.255.255.255', 'fe80::1', 'ff02::1', '::'];
    for (const address of [...never, 'fd00:ec2::254', '::ffff:169.254.169.254', 'localhost', '']) {
      expect([address, may(address, true)]).toEqual([address, false]);
    }
  });

  it('to loopback only for a source that is there', () => {
    for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) {
      expect([address, may(address), may(address, true)]).toEqual([address, false, true]);
    }
  });

  it('only into networks that this process is in', () => {
    const elsewhere = endpoint('10.0.0.1', { network: 'vpc-b' });
    expect(mayPing(elsewhere, reach)).toBe(false);
    expect(mayPing(elsewhere, { ...reach, networks: ['', 'vpc-b'] })).toBe(true);
  });
});

describe('a source is on loopback', () => {
  const is = (source: object) => isOnLoopback(sourceSchema.parse({ name: 'a', ...source }));

  it('when all of its servers are', () => {
    expect(is({ kind: 'consul', address: 'http://127.0.0.1:8500' })).toBe(true);
    expect(is({ kind: 'consul', address: 'http://[::1]:8500' })).toBe(true);
    expect(is({ kind: 'consul', address: 'http://localhost:8500' })).toBe(true);
    expect(is({ kind: 'consul', address: 'http://consul.example:8500' })).toBe(false);
    expect(is({ kind: 'etcd', endpoints: ['127.0.0.1:2379', 'http://127.0.0.1:22379'] })).toBe(true);
    expect(is({ kind: 'etcd', endpoints: ['127.0.0.1:2379', '10.0.0.1:2379'] })).toBe(false);
    expect(is({ kind: 'zookeeper', servers: ['127.0.0.1', '127.0.0.2:2181/chroot'] })).toBe(true);
    expect(is({ kind: 'zookeeper', servers: ['zk-1:2181'] })).toBe(false);
    expect(is({ kind: 'eureka', urls: ['http://127.0.0.1:8761/eureka'] })).toBe(true);
    expect(is({ kind: 'nacos', urls: ['http://127.0.0.1:8848', 'http://nacos:8848'] })).toBe(false);
  });

  it('when it is a file; not when nobody knows where it is', () => {
    expect(is({ kind: 'file', path: './a.json' })).toBe(true);
    expect(is({ kind: 'kubernetes' })).toBe(false);
    expect(is({ kind: 'dns', names: [{ service: 'a', srv: 'a.example' }], servers: ['127.0.0.1'] })).toBe(
      false,
    );
  });
});
