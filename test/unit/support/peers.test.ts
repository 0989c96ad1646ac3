import { afterEach, describe, expect, it, vi } from 'vitest';
import { PEER_NAMES, findBinary, missingPeers, servers, survey } from '../../support/peers.ts';
import type { Place, ServerRow, Survey } from '../../support/peers.ts';
import { LogTail } from '../../support/running-server.ts';

const found: Survey = {
  consul: { mode: 'process' },
  etcd: { mode: 'process' },
  zookeeper: { mode: 'process' },
  eureka: { mode: 'process' },
  rnacos: { mode: 'process' },
  kubernetes: { mode: 'skip', reason: 'no binary etcd' },
  envoy: { mode: 'container' },
  'envoy-1.36': { mode: 'process' },
  grpcio: { mode: 'process' },
  nats: { mode: 'process' },
  'nats-cluster': { mode: 'process' },
};

afterEach(() => vi.unstubAllEnvs());

describe('missingPeers', () => {
  it.each([
    ['', []],
    ['consul, envoy', []],
    ['envoy=container', []],
    ['kubernetes', ['kubernetes: no binary etcd']],
    ['consul=container', ['consul: would run as process, not container']],
    ['consol', [`consol: no such peer (there are: ${PEER_NAMES.join(', ')})`]],
  ])('%j', (required, expected) => {
    expect(missingPeers(found, required)).toEqual(expected);
  });
});

describe('survey', () => {
  it('skips all with PEERS=none, and says so', async () => {
    vi.stubEnv('PEERS', 'none');
    expect((await survey()).consul).toEqual({ mode: 'skip', reason: 'PEERS=none' });
  });

  it('names what is missing with PEERS=process', async () => {
    vi.stubEnv('PEERS', 'process');
    vi.stubEnv('PATH', '');
    vi.stubEnv('ISTHMUS_SERVERS', '/nowhere');
    expect((await survey()).kubernetes).toMatchObject({
      reason: expect.stringContaining('no binary etcd, kube-apiserver'),
    });
  });

  it('refuses another word', async () => {
    vi.stubEnv('PEERS', 'docker');
    await expect(survey()).rejects.toThrow(/PEERS=docker/);
  });
});

describe('findBinary', () => {
  it('looks on PATH', () => {
    expect(findBinary('sh')).toMatch(/\/sh$/);
    expect(findBinary('no-such-binary')).toBeUndefined();
  });
});

describe('the table', () => {
  const place: Place = { dir: '/d', listen: '127.0.0.1', port: () => 1234, reach: () => '127.0.0.1:1' };

  it.each(Object.entries(servers))('%s has an exact version and a complete command line', (_, row) => {
    const server: ServerRow = row;
    expect(server.image).toMatch(/:v?\d+\.\d+\.\d+$/);
    expect(server.args(place).join(' ')).not.toMatch(/undefined|NaN/);
    expect(Object.keys(server.ports).length).toBeGreaterThan(0);
  });
});

describe('LogTail', () => {
  it('keeps the end, within bounds', () => {
    const tail = new LogTail();
    for (let i = 0; i < 10_000; i += 1) tail.append(`line ${i}: ${'x'.repeat(50)}\n`);
    expect(tail.toString().length).toBeLessThanOrEqual(LogTail.LIMIT);
    expect(tail.toString()).toContain('line 9999');
  });
});
