import { describe, expect, it } from 'vitest';
import { addressFlag, listenFlag } from '../../../cli/usage.ts';

describe('addresses on the command line', () => {
  it.each(['127.0.0.1:15001', '[::1]:15001', ':15006'])('%s can be listened on', (text) => {
    expect(listenFlag('--outbound', text)).toBe(text);
  });

  it.each(['localhost:15001', '127.0.0.1', '127.0.0.1:99999', ''])('"%s" cannot, and is named', (text) => {
    expect(() => listenFlag('--outbound', text)).toThrow(`--outbound: expected an IP address and a port`);
    expect(() => listenFlag('--outbound', text)).toThrow(`got "${text}"`);
  });

  it('a server may be named by host', () => {
    expect(addressFlag('--xds', 'control.example:15010')).toBe('control.example:15010');
  });
});
