// The true controller that makes EndpointSlices out of Services and Pods, beside a kube-apiserver. Pods are
// only objects here: a test says what a kubelet would.
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import type { KubeApi, KubeObject } from './kube-api.ts';
import type { KubernetesPeer } from './peer.ts';
import { startProcess } from './peer-process.ts';
import { findBinary } from './peers.ts';
import type { RunningServer } from './running-server.ts';

const BINARY = 'kube-controller-manager';

/** undefined when it is here, else the reason to skip. */
export function noController(): string | undefined {
  return findBinary(BINARY) ? undefined : `no binary ${BINARY} (test/support/servers/get.sh)`;
}

/** Without a list only its EndpointSlice controller; stop() ends it. */
export async function startController(
  kube: KubernetesPeer,
  controllers: readonly string[] = ['endpointslice-controller'],
): Promise<RunningServer> {
  const port = await freePort();
  const dir = join(tmpdir(), `isthmus-${BINARY}-${randomBytes(4).toString('hex')}`);
  return startProcess({
    name: BINARY,
    binary: findBinary(BINARY) ?? BINARY,
    image: '',
    network: 'host',
    hostPorts: { https: port },
    innerPorts: { https: port },
    files: { kubeconfig: kube.kubeconfig() },
    dir,
    args: [
      `--kubeconfig=${dir}/kubeconfig`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      '--leader-elect=false',
      `--controllers=${controllers.join(',')}`,
    ],
  });
}

/** The controller passes over pods whose node does not exist. */
export function nodeObject(name: string, region: string, zone: string): KubeObject {
  const labels = { 'topology.kubernetes.io/region': region, 'topology.kubernetes.io/zone': zone };
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } };
}

export interface PodSpec {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The first one is the pod's own; a second one of the other family makes it dual-stack. */
  readonly addresses: readonly string[];
  readonly serviceAccount?: string;
  /** Default true. */
  readonly ready?: boolean;
  /** Of a StatefulSet's pod: its own name and that of the headless Service. */
  readonly hostname?: string;
  readonly subdomain?: string;
}

/** Makes a pod and says that it runs. */
export async function createPod(api: KubeApi, pod: PodSpec): Promise<void> {
  const { name, namespace, labels, hostname, subdomain } = pod;
  await api.create({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      nodeName: pod.node,
      serviceAccountName: pod.serviceAccount ?? 'default',
      containers: [{ name: 'main', image: 'none', ports: [{ name: 'web', containerPort: 8080 }] }],
      ...(hostname === undefined ? {} : { hostname }),
      ...(subdomain === undefined ? {} : { subdomain }),
    },
  });
  await setReady(api, pod, pod.ready ?? true);
}

/** What a kubelet says after its readiness probe. */
export async function setReady(
  api: KubeApi,
  { name, namespace, addresses }: Pick<PodSpec, 'name' | 'namespace' | 'addresses'>,
  ready: boolean,
): Promise<void> {
  await api.patch(
    { kind: 'Pod', name, namespace, subresource: 'status' },
    {
      status: {
        phase: 'Running',
        podIP: addresses[0],
        podIPs: addresses.map((ip) => ({ ip })),
        conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      },
    },
  );
}
