import { expect, it } from 'vitest';
import { mergeShards } from '../../../model/merge.ts';
import { plainSlice } from '../../../model/snapshot.ts';
import { Authorities } from '../../../xds-server/resources/authorities.ts';
import { group } from './services.ts';

it('an alias in capitals is a header value as it is spelled, and one domain in small letters', () => {
  const orders = group('orders.default', { aliases: ['ORDERS', 'Orders.Example'] });
  const authorities = new Authorities();
  authorities.update(
    'orders.default',
    mergeShards(plainSlice('orders.default', new Map([['eureka', orders]]))),
  );
  const [cluster] = authorities.of('orders.default');
  expect(cluster?.domains).toEqual(['orders', 'orders.default', 'orders.example']);
  expect(cluster?.headers).toEqual([
    'ORDERS',
    'Orders.Example',
    'orders',
    'orders.default',
    'orders.example',
  ]);
});
