import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { admit, readTokens } from '../../../../adapters/sidecar/rights.ts';
import type { SidecarSession } from '../../../../model/sidecars.ts';

const TOKEN = 'a-token-of-some-length';
const tokens = [
  { token: TOKEN, services: ['orders.*', 'pay*.shop'], cidrs: ['10.0.0.0/8', '2001:db8::/32'] },
  { token: 'another-long-token-1', services: ['users.default'], cidrs: [] },
];

function session(
  peer: string,
  over: { address?: string; token?: string; service?: string; proven?: boolean } = {},
): SidecarSession {
  const { address = '', token = '', service = 'orders.default', proven = false } = over;
  return {
    node: 'n',
    peer,
    token,
    proven,
    registration: {
      service,
      address,
      port: 15_006,
      appPort: 8_080,
      healthPath: '/',
      protocol: '',
      labels: {},
      weight: 1,
      locality: { region: '', zone: '', subZone: '' },
    },
  };
}

describe('who may register what', () => {
  it.each<[string, SidecarSession, string]>([
    ['loopback for itself, without a token', session('127.0.0.1'), '127.0.0.1'],
    ['loopback over IPv6', session('::1'), '::1'],
    ['from afar with its token', session('192.0.2.7', { token: TOKEN }), '192.0.2.7'],
    ['from afar, proven by its certificate', session('192.0.2.7', { proven: true }), '192.0.2.7'],
    ['an address of the token', session('192.0.2.7', { token: TOKEN, address: '10.1.2.3' }), '10.1.2.3'],
    ['one of IPv6', session('192.0.2.7', { token: TOKEN, address: '2001:db8::5' }), '2001:db8::5'],
    [
      'loopback for another address, with a token',
      session('127.0.0.1', { token: TOKEN, address: '10.1.2.3' }),
      '10.1.2.3',
    ],
    [
      'a service by a part of its name',
      session('10.0.0.9', { token: TOKEN, service: 'payments.shop' }),
      '10.0.0.9',
    ],
  ])('%s', (_why, from, address) => {
    expect(admit(from, tokens)).toEqual({ address });
  });

  it.each<[string, SidecarSession, string]>([
    ['no token', session('192.0.2.7'), 'no join token'],
    [
      'proven, for the address of somebody else',
      session('192.0.2.7', { proven: true, address: '192.0.2.8' }),
      'no join token',
    ],
    [
      "proven, for the control plane's loopback",
      session('192.0.2.7', { proven: true, address: '127.0.0.1' }),
      "control plane's own machine",
    ],
    ['a wrong one', session('192.0.2.7', { token: `${TOKEN}x` }), 'not known'],
    [
      'another service',
      session('192.0.2.7', { token: TOKEN, service: 'users.default' }),
      'not for users.default',
    ],
    [
      'a pattern never crosses a dot',
      session('192.0.2.7', { token: TOKEN, service: 'payments.x.shop' }),
      'not for',
    ],
    [
      'an address of nobody',
      session('192.0.2.7', { token: TOKEN, address: '192.0.2.8' }),
      'not for the address',
    ],
    [
      "the control plane's loopback",
      session('192.0.2.7', { token: TOKEN, address: '127.0.0.1' }),
      "control plane's own machine",
    ],
    [
      'the same in other clothes',
      session('192.0.2.7', { token: TOKEN, address: '::ffff:127.0.0.1' }),
      "control plane's own machine",
    ],
    [
      "a cloud's metadata service",
      session('192.0.2.7', { token: TOKEN, address: '169.254.169.254' }),
      'not an address that others',
    ],
    [
      'the same on IPv6',
      session('192.0.2.7', { token: TOKEN, address: 'fd00:ec2::254' }),
      'not an address that others',
    ],
    [
      'all addresses',
      session('192.0.2.7', { token: TOKEN, address: '0.0.0.0' }),
      'not an address that others',
    ],
    [
      'loopback for another address, without a token',
      session('127.0.0.1', { address: '10.1.2.3' }),
      'a join token is needed',
    ],
    ['a peer that is no address', session('unix'), 'no IP address'],
  ])('refuses %s', (_why, from, text) => {
    expect(admit(from, tokens)).toMatchObject({ refused: expect.stringContaining(text) });
  });
});

describe('the file of tokens', () => {
  it('is read, and a fault in it is told without a secret', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-tokens-'));
    const file = join(folder, 'tokens.yaml');
    await writeFile(file, `- token: ${TOKEN}\n  services: ["orders.*"]\n`);
    expect(await readTokens(file)).toEqual([{ token: TOKEN, services: ['orders.*'], cidrs: [] }]);
    await writeFile(file, '- token: secret\n  services: [orders.default]\n');
    await expect(readTokens(file)).rejects.toThrow(/tokens\.yaml: 0\.token: at least 16 characters/);
    await expect(readTokens(file)).rejects.not.toThrow(/secret/);
    await writeFile(file, `- token: ${TOKEN}\n  services: [a.b]\n  cidrs: [here]\n`);
    await expect(readTokens(file)).rejects.toThrow('0.cidrs.0: a range such as 10.0.0.0/8');
    await expect(readTokens(join(folder, 'none'))).rejects.toThrow('ENOENT');
    await rm(folder, { recursive: true });
  });
});
