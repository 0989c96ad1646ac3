// What sidecars are taken to say, and who may change it while they run, an Envoy and a bundled proxy beside two apps
// of one service: a template for the service, what the sidecar says itself, what an operator sets by hand; and that
// the share of traffic follows the weight, counted through an Envoy and through the proxy.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EndpointJson } from '../../admin/types.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmusSync } from '../support/isthmus.ts';
import { burst } from '../support/load.ts';

const WITHIN = { withinMs: 60_000, everyMs: 100 };
const START_MS = 180_000;

describePeers(['envoy'], 'registrations that are changed while sidecars run', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;
  const apps: Awaited<ReturnType<typeof startApp>>[] = [];
  const sidecars: DataPlane[] = [];
  const callers: DataPlane[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-registration-'));
    control = await startControlPlane(folder, [{ name: 'sidecars', kind: 'sidecar', grace: '2s' }]);
    for (const kind of ['envoy', 'proxy'] as const) {
      const app = await startApp(kind);
      apps.push(app);
      const flags = kind === 'envoy' ? ['--label', 'version=v2', '--region', 'us'] : [];
      const options = { xdsPort: control.xdsPort, service: 'orders', appPort: app.port, flags };
      sidecars.push(await startDataPlane(kind, start, { ...options, nodeId: `sidecar-${kind}` }));
    }
    for (const kind of ['envoy', 'proxy'] as const)
      callers.push(await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'shop' }));
  }, START_MS);
  afterAll(async () => {
    await Promise.all([...callers, ...sidecars].map((plane) => plane.stop()));
    await control?.stop();
    await Promise.all(apps.map((app) => app.stop()));
    await rm(folder, { recursive: true, force: true });
  }, START_MS);

  const portOf = (index: number): number => sidecars[index]?.inboundPort ?? 0;
  const endpoint = async (index: number): Promise<EndpointJson | undefined> => {
    const answer = await fetch(`${control.adminUrl}/api/v1/services/orders.default/endpoints`);
    const { items } = answer.ok ? ((await answer.json()) as { items: EndpointJson[] }) : { items: [] };
    return items.find(({ port }) => port === portOf(index));
  };
  const becomes = (index: number, wanted: object) =>
    eventually(async () => {
      expect(await endpoint(index)).toMatchObject(wanted);
      return true;
    }, WITHIN);
  const write = async (method: string, path: string, body: object) => {
    const token = await readFile(join(folder, 'isthmus-data', 'admin-token'), 'utf8');
    const answer = await fetch(`${control.adminUrl}/api/v1/${path}`, {
      method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token.trim()}` },
      body: JSON.stringify(body),
    });
    expect(answer.ok, await answer.text()).toBe(true);
  };
  const template = (registration: object) =>
    write('PUT', 'resources/ServicePolicy/default/orders', {
      apiVersion: 'isthmus.dev/v1alpha1',
      kind: 'ServicePolicy',
      metadata: { name: 'orders' },
      spec: { service: 'orders.default', registration },
    });

  it('a template is taken by sidecars that run; what one says itself comes first', {
    timeout: START_MS,
  }, async () => {
    for (const index of [0, 1]) await becomes(index, { state: 'live', weight: 1 });
    await template({
      labels: { environment: 'prod', version: 'v1' },
      region: 'eu',
      weight: 3,
      healthPath: '/healthz',
      check: { how: 'http', interval: '500ms' },
    });
    const shared = { weight: 3 };
    await becomes(0, {
      ...shared,
      labels: { environment: 'prod', version: 'v2' },
      locality: { region: 'us' },
    });
    await becomes(1, {
      ...shared,
      labels: { environment: 'prod', version: 'v1' },
      locality: { region: 'eu' },
    });
    // It is pushed to the sidecar: the app beside it is asked there.
    for (const app of apps) await eventually(() => app.asked.has('/healthz'), WITHIN);
    await template({ labels: { environment: 'test' } });
    await becomes(1, { weight: 1, labels: { environment: 'test' }, locality: { region: '' } });
  });

  it('what an operator sets comes before both, and the share of traffic follows', {
    timeout: START_MS,
  }, async () => {
    for (const [weight, share] of [
      [4, 0.8],
      [9, 0.9],
    ] as const) {
      isthmusSync(
        'endpoint',
        'set',
        'orders',
        `127.0.0.1:${portOf(0)}`,
        `weight=${weight}`,
        'label.version=v9',
        '--server',
        control.adminUrl,
        '--token-file',
        join(folder, 'isthmus-data', 'admin-token'),
        '--for',
        '10m',
        '--reason',
        'a test',
      );
      await becomes(0, { weight, labels: { version: 'v9' } });
      for (const { port } of callers) {
        await eventually(async () => {
          const counts = await burst({ port, headers: { service: 'orders' } }, 400);
          const of = (counts.get('envoy') ?? 0) / 400;
          expect(Math.abs(of - share)).toBeLessThan(0.06);
          return true;
        }, WITHIN);
      }
    }
  });
});

/** Answers its name, and remembers the paths it was asked for. */
async function startApp(name: string) {
  const asked = new Set<string>();
  const server = createServer((request, response) => {
    asked.add(request.url ?? '');
    request.resume();
    response.end(name);
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    asked,
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
