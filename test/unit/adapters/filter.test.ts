import { expect, test } from 'vitest';
import { canonicalAddress, isPort } from '../../../adapters/address.ts';
import { serviceFilter } from '../../../adapters/filter.ts';
import { CLIENT_MISSING, importClient } from '../../../lib/import-client.ts';

test.each([
  [['*'], 'orders.default', true],
  [['orders'], 'orders.default', true],
  [['orders'], 'orders.shop', true],
  [['orders.shop'], 'orders.default', false],
  [['*.shop'], 'orders.shop', true],
  [['*.shop'], 'orders.default', false],
  [['ord?rs', 'x'], 'orders.default', true],
  [['ORDERS'], 'orders.default', true],
  [['orders'], 'orders-v2.default', false],
  [['o.*s'], 'orders.default', false],
  [['a+b'], 'a+b.default', true],
  [[], 'orders.default', false],
])('%j on %s → %s', (patterns, service, expected) => {
  expect(serviceFilter(patterns)(service)).toBe(expected);
});

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['[2001:DB8:0:0::1]', '2001:db8::1'],
  ['::FFFF:1.2.3.4', '::ffff:102:304'],
  ['web-1', undefined],
  ['10.0.0', undefined],
  ['fe80::1%eth0', undefined],
  ['', undefined],
])('address %s → %s', (text, expected) => {
  expect(canonicalAddress(text)).toBe(expected);
});

test('ports are whole numbers from 1 to 65535', () => {
  expect([1, 65_535].every(isPort)).toBe(true);
  expect([0, 65_536, -1, 1.5, Number.NaN, '80', undefined, null].some(isPort)).toBe(false);
});

test('a missing client names the package and the command; another error stays itself', async () => {
  const absent = 'no-such-package-here';
  await expect(
    importClient('consul', absent, () => import(absent) as Promise<unknown>),
  ).rejects.toMatchObject({
    code: CLIENT_MISSING.code,
    message: `consul needs the package ${absent}, which is not installed: npm install ${absent}`,
  });
  const broken = () => Promise.reject(new SyntaxError('broken'));
  await expect(importClient('consul', 'consul', broken)).rejects.toThrow('broken');
});
