// A control plane on files in which every state that `explain` tells of can be found: what is written, in which
// order, and what has to be seen in between. The page docs/merge.md shows what it answers.
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import type { AddressExplanationJson, Fact } from '../../admin/types.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlaneProcess } from './control-plane.ts';
import { eventually } from './eventually.ts';

/** Liveness, not speed. */
const SOON = { withinMs: 60_000 };

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
];

const VMS = [
  { targets: ['10.0.0.1:8080'], labels: { service: 'orders', weight: '3', version: 'v1' } },
  { targets: ['10.0.0.2:8080'], labels: { service: 'orders', weight: '0' } },
  { targets: ['10.0.0.3:8080'], labels: { service: 'orders', env: 'canary' } },
  { targets: ['10.0.0.7:8080'], labels: { service: 'payments' } },
  { targets: ['10.0.0.7:8080'], labels: { service: 'refunds' } },
  { targets: ['10.0.0.8:8080'], labels: { service: 'quotes' } },
  { targets: ['10.0.0.9:8080'], labels: { service: 'debug' } },
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
    const sources = SOURCES.map((source) => ({ kind: 'file', path: `./${source.name}.json`, ...source }));
    const control = await startControlPlane(folder, sources, { resources: ['./policies'] });
    closers.push(() => control.stop());

    const until = (service: string, host: string, is: Fact | 'unknown') =>
      eventually(async () => (await factsOf(control, service, `${host}:8080`)).includes(is), {
        ...SOON,
        what: `${service} ${host} to be ${is}`,
      });
    await until('legacy', '10.4.0.1', 'live');
    for (const name of ['dc2', 'dc4', 'dc7']) await write(`${name}.json`, '{');
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
    return { folder, control, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
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
