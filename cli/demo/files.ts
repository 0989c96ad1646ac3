// The files of the demo: the config, what its two registries say, and the policy of its service, in a directory of
// their own.
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { AppName } from './apps.ts';

/** An instance as a registry lists it: at its sidecar's port, which is the one that others know. */
export interface Listed extends AppName {
  readonly port: number;
}

export interface DemoFiles {
  readonly dir: string;
  readonly config: string;
  readonly vms: string;
  readonly pods: string;
  readonly data: string;
  readonly log: string;
  /** What the registry of the virtual machines says from now on. */
  listVms(vms: readonly Listed[]): Promise<void>;
  /** It cannot be read any more; it comes back with listVms. */
  hideVms(): Promise<void>;
  /** From now on `remove` leaves them where they are. */
  keep(): void;
  remove(): Promise<void>;
}

export async function writeDemoFiles(vms: readonly Listed[], pods: readonly Listed[]): Promise<DemoFiles> {
  const dir = await mkdtemp(join(tmpdir(), 'isthmus-demo-'));
  const at = (name: string) => join(dir, name);
  const files = {
    dir,
    config: at('isthmus.yaml'),
    vms: at('vms.yaml'),
    pods: at('pods.yaml'),
    data: at('data'),
    log: at('isthmus.log'),
  };
  const listVms = async (list: readonly Listed[]) => {
    await writeFile(`${files.vms}.new`, vmsText(list));
    await rename(`${files.vms}.new`, files.vms);
  };
  await writeFile(files.config, CONFIG);
  await mkdir(at('resources'));
  await writeFile(at('resources/orders.yaml'), POLICY);
  await listVms(vms);
  await writeFile(files.pods, podsText(pods));
  let kept = false;
  return {
    ...files,
    listVms,
    hideVms: () => rename(files.vms, `${files.vms}.gone`),
    keep() {
      kept = true;
    },
    remove: async () => {
      if (!kept) await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

const CONFIG = `# The config of the demo. Two sources stand for the registry of virtual machines and for a Kubernetes cluster.
sources:
  - name: vms
    kind: file
    path: ./vms.yaml
  - name: pods
    kind: file
    path: ./pods.yaml
    format: kubernetes
  - name: sidecars
    kind: sidecar
resources: [./resources]
dataDir: ./data
# Shorter than by default: a demo has little time.
xds: { loadReportInterval: 1s }
probe: { interval: 2s }
`;

const POLICY = `# How callers treat orders: what fails is tried again elsewhere. \`pin\` makes orders@vms a name of its own.
apiVersion: isthmus.dev/v1alpha1
kind: ServicePolicy
metadata: { name: orders }
spec:
  service: orders
  policy: { weighted: { vms: 100, pods: 0 } }
  pin: true
  activeChecks: { interval: 15s }
  retries: { attempts: 3, on: [5xx, reset, connect-failure] }
`;

/** Prometheus file_sd. */
export function vmsText(instances: readonly Listed[]): string {
  const groups = instances.map(({ service, instance, port }) => ({
    targets: [`127.0.0.1:${port}`],
    labels: { service, instance, protocol: 'http' },
  }));
  return `# The registry of the virtual machines, as Prometheus file_sd.\n${stringify(groups)}`;
}

/** Service and EndpointSlice manifests. All share one address here, so every port is a slice of its own. */
export function podsText(instances: readonly Listed[]): string {
  const services = [...new Set(instances.map(({ service }) => service))].map((name) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { app: name },
      ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
    },
  }));
  const slices = instances.map(({ service, instance, port }) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${service}-${instance}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': service },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port, protocol: 'TCP' }],
    endpoints: [
      {
        addresses: ['127.0.0.1'],
        conditions: { ready: true, serving: true, terminating: false },
        targetRef: { kind: 'Pod', name: instance, namespace: 'default' },
      },
    ],
  }));
  const documents = [...services, ...slices].map((manifest) => stringify(manifest));
  return `# The "pods", as Kubernetes manifests.\n${documents.join('---\n')}`;
}
