// Envoy's statistics under our bootstrap: a cluster's name is one label value, dots, ports and all.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmusSync } from '../support/isthmus.ts';

const TARGETS = `
- { targets: ["127.0.0.1:9"], labels: { service: orders, port_name: http } }
- { targets: ["127.0.0.1:10"], labels: { service: orders, port_name: grpc } }
- { targets: ["127.0.0.1:11"], labels: { service: orders, namespace: external } }
- { targets: ["127.0.0.1:12"], labels: { service: upstream, namespace: default } }
`;

/** Envoy writes the colon before a port's name as an underscore, before tags are cut out. */
const EXPECTED = [
  // The check of the app beside it, by HDS.
  'app_web.default',
  'inbound_18080',
  'isthmus_xds',
  'orders.default',
  'orders.default_grpc',
  'orders.external',
  'upstream.default',
];

describePeers(['envoy'], 'the statistics of an Envoy', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-stats-'));
    await writeFile(join(folder, 'vms.yaml'), TARGETS);
    control = await startControlPlane(folder, [{ name: 'vms', kind: 'file', path: './vms.yaml' }]);
  });
  afterAll(async () => {
    await control?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('have whole cluster names as label values, and metrics without any name in theirs', async () => {
    const envoy = await start('envoy', {
      files: {
        'envoy.yaml': (place) =>
          isthmusSync(
            'bootstrap',
            'envoy',
            '--service=web',
            '--node-id=counter',
            '--zone=no',
            '--port=18080',
            '--inbound=127.0.0.1:0',
            `--xds=127.0.0.1:${control.xdsPort}`,
            `--admin-port=${place.port('admin')}`,
            `--outbound=127.0.0.1:${place.port('outbound')}`,
          ),
      },
    });
    const { lines, names } = await eventually(
      async () => {
        const text = await (await fetch(`${envoy.url}/stats/prometheus`)).text();
        const found = text.split('\n').filter((line) => /^envoy_cluster_(?!manager)/.test(line));
        const labels = new Set(found.map((line) => /envoy_cluster_name="([^"]*)"/.exec(line)?.[1] ?? ''));
        return labels.size >= EXPECTED.length && { lines: found, names: [...labels] };
      },
      { withinMs: 50_000, what: 'every cluster in the statistics' },
    );
    expect(names.sort((a, b) => (a < b ? -1 : 1))).toEqual(EXPECTED);
    expect(lines.filter((line) => /^[^{]*(orders|isthmus|inbound_\d|upstream_default)/.test(line))).toEqual(
      [],
    );
  });
});
