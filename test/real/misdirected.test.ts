// A service with `identity: strict` whose hosts say by themselves who they are: sidecars that this control plane does not
// know, one of them an Envoy with its health check filter. Nobody pings hosts that a live source lists but the callers:
// an Envoy (asked to by HDS), or the bundled proxy. When one of them finds another service at an address, no caller
// gets that address any more; and all do when the right one is back.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { EndpointJson } from '../../admin/types.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';
import { startNamedApp } from '../support/named-app.ts';
import type { NamedApp } from '../support/named-app.ts';
import type { Place } from '../support/peers.ts';

const WITHIN = { withinMs: 60_000 };
const STEP = { timeout: 120_000 };
const ORDERS = 'orders.default';
const TYPES = 'type.googleapis.com/envoy.extensions.filters';

for (const kind of ['envoy', 'proxy'] as const) {
  describePeers(['envoy'], `another service at an address, found by ${kind}`, (start) =>
    scenario(kind, start),
  );
}

/** An Envoy before an app that answers pings itself, with the name of its node. */
function filterBootstrap(place: Place): string {
  const route = {
    match: { prefix: '/' },
    direct_response: { status: 200, body: { inline_string: 'filter' } },
  };
  const check = {
    name: 'envoy.filters.http.health_check',
    typed_config: {
      '@type': `${TYPES}.http.health_check.v3.HealthCheck`,
      pass_through_mode: false,
      headers: [{ name: ':path', string_match: { exact: '/' } }],
    },
  };
  const router = {
    name: 'envoy.filters.http.router',
    typed_config: { '@type': `${TYPES}.http.router.v3.Router` },
  };
  const manager = {
    '@type': `${TYPES}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'in',
    http_filters: [check, router],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
  };
  const at = (port: number) => ({ address: { socket_address: { address: '127.0.0.1', port_value: port } } });
  return stringify({
    node: { id: 'filter', cluster: ORDERS },
    admin: at(place.port('admin')),
    static_resources: {
      listeners: [
        {
          name: 'in',
          ...at(place.port('inbound')),
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
    },
  });
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  let folder: string;
  let control: ControlPlaneProcess;
  let finder: DataPlane;
  let reused: NamedApp;
  const closers: (() => Promise<unknown>)[] = [];

  const endpoint = async (): Promise<EndpointJson | undefined> => {
    const response = await fetch(`${control.adminUrl}/api/v1/services/${ORDERS}/endpoints`);
    const { items } = (await response.json()) as { items: EndpointJson[] };
    return items.find((each) => each.port === reused.port);
  };
  const hear = async (caller: DataPlane) => {
    const answers = new Set<string>();
    for (let n = 0; n < 16; n += 1) {
      const response = await fetch(`http://127.0.0.1:${caller.port}/call`, {
        headers: { service: 'orders' },
      });
      answers.add(response.status === 200 ? await response.text() : `HTTP ${response.status}`);
    }
    return [...answers].sort().join();
  };
  const hears = (caller: DataPlane, wanted: string) =>
    eventually(async () => (await hear(caller)) === wanted, { ...WITHIN, what: wanted });
  const stateIs = (state: EndpointJson['state']) =>
    eventually(async () => (await endpoint())?.state === state, WITHIN);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-misdirected-'));
    const filter = await start('envoy', { files: { 'envoy.yaml': filterBootstrap } });
    reused = await startNamedApp(ORDERS, 0, 'reused');
    closers.push(() => reused.stop());
    const targets = [`127.0.0.1:${filter.ports['inbound']}`, `127.0.0.1:${reused.port}`];
    await writeFile(join(folder, 'vms.json'), JSON.stringify([{ targets, labels: { service: 'orders' } }]));
    control = await startControlPlane(folder, [{ name: 'vms', kind: 'file', path: './vms.json' }], {
      probe: { interval: '1s', path: '/' },
      merge: { identity: 'strict' },
    });
    finder = await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'web' });
    closers.push(() => finder.stop());
  }, STEP.timeout);
  afterAll(async () => {
    for (const close of closers.reverse()) await close();
    await control?.stop();
    await rm(folder, { recursive: true, force: true });
  }, STEP.timeout);

  it('hosts that answer in the name of the service are called', STEP, async () => {
    await hears(finder, 'filter,reused');
  });

  it(
    'another service at the address: quarantined for every caller, by what one has found',
    STEP,
    async () => {
      reused.be('carts.default', 'carts');
      await stateIs('quarantined');
      const text = await isthmus(
        'explain',
        'orders',
        `127.0.0.1:${reused.port}`,
        '--server',
        control.adminUrl,
      );
      expect(text).toMatch(/quarantined[^\n]*answered as carts\.default/);
      await hears(finder, 'filter');
      const other = await startDataPlane(kind === 'proxy' ? 'envoy' : 'proxy', start, {
        xdsPort: control.xdsPort,
        service: 'app',
      });
      expect(await hear(other)).toBe('filter');
      await other.stop();
    },
  );

  it('called again when the right one is back', STEP, async () => {
    reused.be(ORDERS, 'reused');
    await stateIs('live');
    await hears(finder, 'filter,reused');
  });
}
