import { expect, it } from 'vitest';
import { alsoFlags } from '../../../cli/also-flag.ts';

const first = { service: 'orders.default', inbound: undefined, port: '8080' };

it('gives each further service the port after the one before, unless it says its own', () => {
  expect(alsoFlags(undefined, { ...first, port: undefined })).toEqual([]);
  expect(alsoFlags(['carts=8081', 'users.shop=8082@[::1]:7000', 'tills=8083'], first)).toEqual([
    { service: 'carts.default', appPort: 8_081, inbound: '0.0.0.0:15007' },
    { service: 'users.shop', appPort: 8_082, inbound: '[::1]:7000' },
    { service: 'tills.default', appPort: 8_083, inbound: '[::1]:7001' },
  ]);
  expect(alsoFlags(['carts=8081'], { ...first, inbound: '10.0.0.1:9000' })[0]?.inbound).toBe('10.0.0.1:9001');
});

it.each([
  ['carts', 'expected SERVICE=PORT such as carts=8081, got "carts"'],
  ['carts=0', 'expected a port from 1 to 65535, got "0"'],
  ['carts=8081@here:1', 'expected an IP address and a port'],
  ['orders=8081', 'orders.default is named twice'],
])('%s is refused', (text, why) => {
  expect(() => alsoFlags([text], first)).toThrow(`--also: ${why}`);
});

it('wants a first service', () => {
  expect(() => alsoFlags(['carts=8081'], { ...first, port: undefined })).toThrow('--also needs --port');
});
