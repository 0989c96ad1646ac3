import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freshToken, listenFlag, tokenFile, xdsFlag } from '../../../cli/usage.ts';

describe('addresses on the command line', () => {
  it.each(['127.0.0.1:15001', '[::1]:15001', ':15006'])('%s can be listened on', (text) => {
    expect(listenFlag('--outbound', text)).toBe(text);
  });

  it.each(['localhost:15001', '127.0.0.1', '127.0.0.1:99999', ''])('"%s" cannot, and is named', (text) => {
    expect(() => listenFlag('--outbound', text)).toThrow(`--outbound: expected an IP address and a port`);
    expect(() => listenFlag('--outbound', text)).toThrow(`got "${text}"`);
  });

  it('a server may be named by host, and its replicas beside it', () => {
    expect(xdsFlag('control.example:15010')).toBe('control.example:15010');
    expect(xdsFlag('a.example:15010, [::1]:15010')).toBe('a.example:15010,[::1]:15010');
    for (const text of ['a.example', ':15010', 'a.example:15010,', 'a.example:0'])
      expect(() => xdsFlag(text)).toThrow('--xds: expected HOST:PORT');
  });
});

describe('a join token', () => {
  it('is read anew each time; while there is none, the last one counts', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'isthmus-token-'));
    const file = join(dir, 'token');
    expect(() => tokenFile(file)).toThrow('--token-file: ');
    await writeFile(file, ' \n');
    expect(() => freshToken(file)).toThrow(`${file} is empty`);
    await writeFile(file, 'first-token-of-all\n');
    const token = freshToken(file);
    expect(token()).toBe('first-token-of-all');
    await writeFile(file, '');
    expect(token()).toBe('first-token-of-all');
    await writeFile(file, 'the-second-token\n');
    expect(token()).toBe('the-second-token');
    await rm(dir, { recursive: true });
    expect(token()).toBe('the-second-token');
  });
});
