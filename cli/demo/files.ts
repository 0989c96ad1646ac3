// The files of the demo: the config and what its two sources read, in a directory of their own.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { App } from './apps.ts';

export interface DemoFiles {
  readonly dir: string;
  readonly config: string;
  readonly vms: string;
  readonly pods: string;
  readonly log: string;
  remove(): Promise<void>;
}

export async function writeDemoFiles(apps: readonly App[]): Promise<DemoFiles> {
  const dir = await mkdtemp(join(tmpdir(), 'isthmus-demo-'));
  const at = (name: string) => join(dir, name);
  const files = {
    dir,
    config: at('isthmus.yaml'),
    vms: at('vms.yaml'),
    pods: at('pods.yaml'),
    log: at('isthmus.log'),
  };
  await writeFile(files.config, CONFIG);
  await writeFile(files.vms, vmsText(apps.filter((app) => app.side === 'vms')));
  await writeFile(files.pods, podsText(apps.filter((app) => app.side === 'pods')));
  return { ...files, remove: () => rm(dir, { recursive: true, force: true }) };
}

const CONFIG = `# The config of the demo. Two sources stand for virtual machines and for a Kubernetes cluster.
sources:
  - name: vms
    kind: file
    path: ./vms.yaml
  - name: pods
    kind: file
    path: ./pods.yaml
    format: kubernetes
`;

/** Prometheus file_sd. */
export function vmsText(apps: readonly App[]): string {
  const groups = apps.map((app) => ({
    targets: [`127.0.0.1:${app.port}`],
    labels: { service: app.service, instance: app.instance, weight: '1' },
  }));
  return `# The "virtual machines", as Prometheus file_sd. Delete one, or give one weight "5", and watch.\n${stringify(groups)}`;
}

/** Service and EndpointSlice manifests. All share one address here, so every port is a slice of its own. */
export function podsText(apps: readonly App[]): string {
  const services = [...new Set(apps.map((app) => app.service))].map((name) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { app: name },
      ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
    },
  }));
  const slices = apps.map((app) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${app.service}-${app.instance}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': app.service },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: app.port, protocol: 'TCP' }],
    endpoints: [
      {
        addresses: ['127.0.0.1'],
        conditions: { ready: true, serving: true, terminating: false },
        targetRef: { kind: 'Pod', name: app.instance, namespace: 'default' },
      },
    ],
  }));
  const documents = [...services, ...slices].map((manifest) => stringify(manifest));
  return `# The "pods", as Kubernetes manifests. Set ready: false on one, or delete a slice, and watch.\n${documents.join('---\n')}`;
}
