// A control plane on files in which every state that `explain` tells of can be found: what is written, in which
// order, and what has to be seen in between. The page docs/merge.md shows what it answers.
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import type { AddressExplanationJson, Fact } from '../../admin/types.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlaneProcess } from './control-plane.ts';
import { eventually } from './eventually.ts';
import { isthmus } from './isthmus.ts';
import { startNamedApp } from './named-app.ts';
import type { NamedApp } from './named-app.ts';

/** Liveness, not speed. */
const SOON = { withinMs: 60_000 };

/** Addresses of the others lead nowhere: only this network is pinged. */
const PINGED = 'pinged';

const SOURCES = [
  {
    name: 'vms',
    exclude: { services: ['debug'], labels: { env: 'canary' } },
  },
  { name: 'pods', path: './pods.yaml', format: 'kubernetes' },
  { name: 'dc2' },
  { name: 'dc3', guard: { confirmAfter: '1h' } },
  { name: 'dc4', holdFor: '1s', guard: { confirmAfter: '1s' } },
  { name: 'dc5', damping: { suppress: 2, reuse: 1, halfLife: '1h' } },
  { name: 'dc6', warmUp: '3h' },
  { name: 'dc7', onLost: 'drain' },
  { name: 'dc8', network: PINGED },
  { name: 'dc9', network: PINGED },
  { name: 'dc10', network: PINGED },
];

const VMS = [
  { targets: ['10.0.0.1:8080'], labels: { service: 'orders', weight: '3', version: 'v1' } },
  { targets: ['10.0.0.2:8080'], labels: { service: 'orders', weight: '0' } },
  { targets: ['10.0.0.3:8080'], labels: { service: 'orders', env: 'canary' } },
  { targets: ['10.0.0.7:8080'], labels: { service: 'payments' } },
  { targets: ['10.0.0.7:8080'], labels: { service: 'refunds' } },
  { targets: ['10.0.0.8:8080'], labels: { service: 'quotes' } },
  { targets: ['10.0.0.9:8080'], labels: { service: 'debug' } },
  { targets: ['10.0.0.11:8080', '10.0.0.12:8080'], labels: { service: 'ledger' } },
];

const PODS = `apiVersion: v1
kind: Service
metadata: { name: orders, namespace: default }
spec: { ports: [{ name: http, port: 80, targetPort: http }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: orders-a, namespace: default, labels: { kubernetes.io/service-name: orders } }
addressType: IPv4
ports: [{ name: http, port: 8080, protocol: TCP }]
endpoints:
  - { addresses: [10.0.0.1], conditions: { ready: true } }
  - { addresses: [10.1.0.1], conditions: { ready: false, serving: true, terminating: true } }
---
apiVersion: v1
kind: Service
metadata: { name: quotes, namespace: default }
spec: { ports: [{ name: http, port: 80, targetPort: http }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: quotes-a, namespace: default, labels: { kubernetes.io/service-name: quotes } }
addressType: IPv4
ports: [{ name: http, port: 8080, protocol: TCP }]
endpoints: [{ addresses: [10.1.0.8], conditions: { ready: true } }]
`;

const POLICY = `apiVersion: isthmus.dev/v1alpha1
kind: ServicePolicy
metadata: { name: quotes }
spec:
  service: quotes
  policy: { weighted: { vms: 100 } }
`;

export interface ExplainWorld {
  readonly folder: string;
  readonly control: ControlPlaneProcess;
  /** Replaces what differs from run to run, such as ports, by what the page says. */
  asOnPage(text: string): string;
  /** The other way round, for what a reader of the page types. */
  fromPage(text: string): string;
  close(): Promise<void>;
}

export async function startExplainWorld(): Promise<ExplainWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-explain-'));
  const closers: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const end of closers.reverse()) await end();
  };
  try {
    /** At once, so that nobody reads half of it. */
    const write = async (name: string, content: unknown) => {
      const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2);
      const file = join(folder, name);
      await writeFile(`${file}.new`, text);
      await rename(`${file}.new`, file);
    };
    const list = (name: string, service: string, hosts: readonly string[]) =>
      write(`${name}.json`, [{ targets: hosts.map((host) => `${host}:8080`), labels: { service } }]);

    await mkdir(join(folder, 'policies'));
    await write('policies/quotes.yaml', POLICY);
    await write('vms.json', VMS);
    await write('pods.yaml', PODS);
    await list('dc2', 'billing', ['10.2.0.1']);
    await list('dc3', 'users', ['10.3.0.1', '10.3.0.2', '10.3.0.3', '10.3.0.4', '10.3.0.5', '10.3.0.6']);
    await list('dc4', 'legacy', ['10.4.0.1']);
    await list('dc5', 'carts', ['10.5.0.1', '10.5.0.2']);
    await list('dc6', 'search', ['10.6.0.1']);
    await list('dc7', 'reports', ['10.7.0.1']);
    const apps = await startApps(closers);
    const at = (name: string) => `127.0.0.1:${apps.get(name)?.port ?? 0}`;
    const listAt = (name: string, lists: Readonly<Record<string, readonly string[]>>) =>
      write(
        `${name}.json`,
        Object.entries(lists).map(([service, names]) => ({ targets: names.map(at), labels: { service } })),
      );
    await listAt('dc8', { parts: PARTS });
    await listAt('dc9', { stock: ['stock-1', 'stock-2'], tills: ['stock-1'] });
    await listAt('dc10', { spares: ['spare-1'] });
    const sources = SOURCES.map((source) => ({ kind: 'file', path: `./${source.name}.json`, ...source }));
    const control = await startControlPlane(folder, sources, {
      resources: ['./policies'],
      probe: { interval: '1s', networks: [PINGED] },
    });
    closers.push(() => control.stop());

    const untilAt = (service: string, address: string, is: Fact | 'unknown') =>
      eventually(async () => (await factsOf(control, service, address)).includes(is), {
        ...SOON,
        what: `${service} ${address} to be ${is}`,
      });
    const until = (service: string, host: string, is: Fact | 'unknown') =>
      untilAt(service, `${host}:8080`, is);
    await until('legacy', '10.4.0.1', 'live');
    await untilAt('parts', at('part-1'), 'live');
    await untilAt('spares', at('spare-1'), 'live');
    for (const name of ['dc2', 'dc4', 'dc7', 'dc8', 'dc10']) await write(`${name}.json`, '{');
    await list('dc3', 'users', ['10.3.0.1']);
    await list('dc6', 'search', ['10.6.0.1', '10.6.0.2']);
    for (let flap = 0; flap < 3; flap += 1) {
      await list('dc5', 'carts', ['10.5.0.2']);
      await until('carts', '10.5.0.1', 'gone');
      await list('dc5', 'carts', ['10.5.0.1', '10.5.0.2']);
      await until('carts', '10.5.0.1', 'live');
    }
    await until('billing', '10.2.0.1', 'dark');
    await until('users', '10.3.0.2', 'doubted');
    await until('legacy', '10.4.0.1', 'expired');
    await until('carts', '10.5.0.1', 'damped');
    await until('reports', '10.7.0.1', 'drained');
    await until('search', '10.6.0.2', 'warming-up');
    await untilAt('parts', at('part-1'), 'proven');
    await untilAt('parts', at('part-2'), 'answering');
    await untilAt('parts', at('part-3'), 'gone');
    await untilAt('spares', at('spare-1'), 'silent');
    await untilAt('stock', at('stock-1'), 'quarantined');
    await untilAt('tills', at('stock-1'), 'proven');
    const tokenFile = join(folder, 'isthmus-data', 'admin-token');
    const how = ['--for', '1h', '--reason', 'disk is failing', '--token-file', tokenFile];
    await isthmus('endpoint', 'drain', 'ledger', '10.0.0.11:8080', ...how, '--server', control.adminUrl);
    await until('ledger', '10.0.0.11', 'drained');

    const pairs: readonly (readonly [string, string])[] = [
      ...Object.entries(SHOWN).map(([name, shown]) => [at(name), shown] as const),
      [`${userInfo().username}@${hostname()}`, 'ada@ops-1'],
      [`${folder}/`, ''],
      [control.adminUrl, 'http://127.0.0.1:15080'],
    ];
    return {
      folder,
      control,
      close,
      asOnPage: (text) => pairs.reduce((told, [own, shown]) => told.replaceAll(own, shown), text),
      fromPage: (text) =>
        pairs.reduce((told, [own, shown]) => (shown === '' ? told : told.replaceAll(shown, own)), text),
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** Twelve, so that two that are dead are less than a fifth. */
const PARTS = Array.from({ length: 12 }, (_, n) => `part-${n + 1}`);

/** As which address the page shows those that have a port of their own in each run. */
const SHOWN: Readonly<Record<string, string>> = {
  'part-1': '10.80.80.1:8080',
  'part-2': '10.80.80.2:8080',
  'part-3': '10.80.80.3:8080',
  'stock-1': '10.90.90.1:8080',
  'stock-2': '10.90.90.2:8080',
  'spare-1': '10.99.99.1:8080',
};

/** Instances that really answer pings: one without a sidecar, two that are dead, one that is somebody else. */
async function startApps(closers: (() => Promise<void>)[]): Promise<ReadonlyMap<string, NamedApp>> {
  const services = {
    ...Object.fromEntries(PARTS.map((name) => [name, 'parts.default'])),
    'part-2': '',
    'stock-1': 'tills.default',
    'stock-2': 'stock.default',
    'spare-1': 'spares.default',
  };
  const apps = new Map<string, NamedApp>();
  for (const [name, service] of Object.entries(services)) {
    const app = await startNamedApp(service);
    closers.push(() => app.stop());
    apps.set(name, app);
  }
  for (const name of ['part-3', 'spare-1']) apps.get(name)?.hangUp();
  return apps;
}

async function factsOf(
  { adminUrl }: ControlPlaneProcess,
  service: string,
  address: string,
): Promise<readonly (Fact | 'unknown')[]> {
  const response = await fetch(`${adminUrl}/api/v1/services/${service}/explain?address=${address}`);
  if (response.status === 404) return ['unknown'];
  const { endpoints, absent } = (await response.json()) as AddressExplanationJson;
  return [...endpoints.flatMap(({ facts }) => facts), ...absent].map(({ is }) => is);
}
