// What an operator sees when a data plane refuses its config: the client's own words and the resource, for
// that client alone.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus, isthmusSync } from '../support/isthmus.ts';

/** TEST-NET-1 (RFC 5737): no machine has it, so no listener can be bound to it. */
const NOT_OURS = '192.0.2.1:15001';

describePeers(['envoy'], 'a refused listener', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-refusal-'));
    await writeFile(
      join(folder, 'vms.yaml'),
      '- { targets: ["127.0.0.1:9"], labels: { service: orders } }\n',
    );
    control = await startControlPlane(folder, [{ name: 'vms', kind: 'file', path: './vms.yaml' }]);
  });
  afterAll(async () => {
    await control?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('is shown with its text and its resource, and other types stay SYNCED', async () => {
    await start('envoy', {
      files: {
        'envoy.yaml': (place) =>
          isthmusSync(
            'bootstrap',
            'envoy',
            '--service',
            'web',
            '--node-id',
            'refuser',
            '--xds',
            `127.0.0.1:${control.xdsPort}`,
            '--outbound',
            NOT_OURS,
            '--admin-port',
            String(place.port('admin')),
          ),
      },
    });
    const server = ['--server', control.adminUrl];
    const refused = await eventually(
      async () => {
        const { items } = JSON.parse(await isthmus('get', 'proxies', '-o', 'json', ...server)) as ProxyList;
        const proxy = items.find((item) => item.node === 'refuser');
        return proxy?.types['lds']?.state === 'NACKED' && proxy;
      },
      { withinMs: 50_000, what: 'the refusal' },
    );
    expect(refused.types['lds']?.error).toContain('192.0.2.1');
    expect(refused.types['cds']?.state).toBe('SYNCED');
    expect(refused.types['eds']?.state).toBe('SYNCED');

    const table = await isthmus('proxy-status', ...server);
    expect(table).toMatch(/refuser\s.*NACKED/);
    const detail = await isthmus('proxy-status', 'refuser', ...server);
    expect(detail).toContain('192.0.2.1');
    expect(detail).toContain('outbound');
  });
});

interface ProxyList {
  readonly items: readonly {
    readonly node: string;
    readonly types: Readonly<Record<string, { readonly state: string; readonly error: string }>>;
  }[];
}
