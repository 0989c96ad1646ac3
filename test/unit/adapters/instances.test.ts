import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NOTHING, bad } from '../../../adapters/instance.ts';
import { Instances } from '../../../adapters/instances.ts';
import { readJsonInstance } from '../../../adapters/json-instance.ts';
import { NO_LOCALITY } from '../../../model/endpoint.ts';

const options = {
  locality: NO_LOCALITY,
  network: '',
  serviceNamespace: 'default',
  included: (service: string) => service !== 'other.default',
};
const orders = { name: 'orders', namespace: '', aliases: [] };
const other = { name: 'other', namespace: '', aliases: [] };
const at = (address: string) => readJsonInstance(JSON.stringify({ address, port: 80 }), options);
const addresses = (instances: Instances) =>
  instances.group('orders.default')?.endpoints.map((e) => e.address);

test('tells what changed, and only that', () => {
  const instances = new Instances(options);
  expect(instances.put('1', orders, at('10.0.0.1'))).toBe('orders.default');
  expect(instances.put('1', orders, at('10.0.0.1'))).toBeUndefined();
  expect(instances.put('1', orders, at('10.0.0.2'))).toBe('orders.default');
  expect(instances.put('1', other, at('10.0.0.2'))).toBeUndefined();
  expect(instances.delete('2', orders)).toBeUndefined();
  expect(instances.delete('1', orders)).toBe('orders.default');
  expect(instances.group('orders.default')).toBeUndefined();
});

test('a service may stay without instances', () => {
  const instances = new Instances(options);
  expect(instances.addService(orders)).toBe('orders.default');
  expect(instances.addService(orders)).toBeUndefined();
  instances.put('1', orders, at('10.0.0.1'));
  expect(instances.delete('1', orders, true)).toBe('orders.default');
  expect(addresses(instances)).toEqual([]);
  expect(instances.removeService(orders)).toBe('orders.default');
  expect(instances.services).toEqual([]);
});

test('a bad value keeps the last good one, and counts until it is mended or gone', () => {
  const first = new Instances(options);
  first.put('1', orders, at('10.0.0.1'));
  first.put('2', orders, at('10.0.0.2'));
  expect(first.put('1', orders, bad('no'))).toBeUndefined();
  expect([...first.bad]).toEqual([['1', 'no']]);
  expect(first.notice).toBe('one entry cannot be used, such as 1: no');

  const second = new Instances(options, first);
  expect(second.put('1', orders, bad('no'))).toBe('orders.default');
  expect(second.hopeless).toBe(true);
  second.settled();
  expect(addresses(second)).toEqual(['10.0.0.1']);
  second.put('1', orders, at('10.0.0.9'));
  expect(second.bad.size).toBe(0);
  expect(second.hopeless).toBe(false);
  second.put('3', orders, bad('never was good'));
  expect(addresses(second)).toEqual(['10.0.0.9']);
  second.put('3', orders, NOTHING);
  expect(second.bad.size).toBe(0);
});

test('the order in which keys came does not show', () => {
  const key = fc.integer({ min: 0, max: 9 });
  fc.assert(
    fc.property(fc.uniqueArray(key, { minLength: 1 }), fc.infiniteStream(fc.nat()), (keys, random) => {
      const put = (order: readonly number[]) => {
        const instances = new Instances(options);
        for (const n of order) instances.put(String(n), orders, at(`10.0.0.${n % 4}`));
        return instances.group('orders.default');
      };
      const shuffled = keys.map((n) => ({ n, by: random.next().value as number }));
      shuffled.sort((a, b) => a.by - b.by);
      expect(put(shuffled.map(({ n }) => n))).toEqual(put(keys));
    }),
  );
});
