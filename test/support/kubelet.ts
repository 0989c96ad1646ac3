// Stands in for what a cluster has on its nodes, scheduler and kubelet, beside a true kube-apiserver and its
// controllers: each pod becomes a process on this machine, at an address of its own (servers/netns.sh). It runs the
// command of the pod's only container with this machine's programs; it knows no images, no volumes, no restarts, and
// of probes only that somebody accepts connections at the container's port.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { eventually } from './eventually.ts';
import { KubeApiError } from './kube-api.ts';
import type { KubeApi } from './kube-api.ts';
import { nodeObject } from './kube-controller.ts';
import { podAddresses } from './netns.ts';
import { LogTail } from './running-server.ts';

const NODE = 'node-1';
const PODS = '/api/v1/namespaces/default/pods';
const LOOK_MS = 200;
const GRACE_MS = 10_000;

interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string; readonly containers: readonly Container[] };
}

interface Container {
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[];
  readonly ports?: readonly { readonly containerPort: number }[];
}

interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
}

interface Running {
  readonly child: ChildProcess;
  readonly address: string;
  isReady: boolean;
  killAt?: number;
}

export interface Kubelet {
  /** What the pods and it said. */
  log(): string;
  /** Ends its processes; the pods stay as objects. */
  stop(): Promise<void>;
}

/** Looks after the pods of the namespace `default` until stop(). */
export async function startKubelet(api: KubeApi): Promise<Kubelet> {
  await api.create(nodeObject(NODE, 'eu', 'eu-1'));
  const pods = new Map<string, Running>();
  const tail = new LogTail();
  const controller = new AbortController();
  const killAll = () => {
    for (const { child } of pods.values()) child.kill('SIGKILL');
  };
  process.once('exit', killAll);
  const look = async () => {
    const { items } = (await api.request('GET', PODS)) as { items: PodObject[] };
    for (const pod of items) await attend(api, pod, pods, tail);
  };
  const loop = (async () => {
    while (!controller.signal.aborted) {
      await look().catch((thrown: unknown) => tail.append(`kubelet: ${String(thrown)}\n`));
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  })();
  return {
    log: () => tail.toString(),
    async stop() {
      controller.abort();
      await loop;
      process.removeListener('exit', killAll);
      killAll();
      await eventually(() => [...pods.values()].every(({ child }) => hasEnded(child)), { what: 'its pods' });
    },
  };
}

async function attend(
  api: KubeApi,
  pod: PodObject,
  pods: Map<string, Running>,
  tail: LogTail,
): Promise<void> {
  const { name, uid, deletionTimestamp } = pod.metadata;
  const path = `${PODS}/${name}`;
  const running = pods.get(uid);
  if (pod.spec.nodeName === undefined) {
    const target = { apiVersion: 'v1', kind: 'Node', name: NODE };
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target };
    await api.request('POST', `${path}/binding`, binding);
  } else if (deletionTimestamp !== undefined) {
    if (running && !isOver(running)) return;
    await api.request('DELETE', `${path}?gracePeriodSeconds=0`).catch(unlessGone);
    pods.delete(uid);
  } else if (!running) {
    const taken = new Set([...pods.values()].map(({ address }) => address));
    const address = podAddresses().find((each) => !taken.has(each));
    if (address !== undefined) pods.set(uid, await launch(api, pod, address, tail));
  } else if (!running.isReady) {
    running.isReady = await accepts(running.address, portOf(pod));
    await say(api, name, running);
  }
}

/** Asks a pod that is to go to end, and kills it when it does not. */
function isOver(running: Running): boolean {
  const { child, killAt } = running;
  if (hasEnded(child)) return true;
  if (killAt === undefined) {
    child.kill('SIGTERM');
    running.killAt = Date.now() + GRACE_MS;
  } else if (Date.now() > killAt) child.kill('SIGKILL');
  return false;
}

async function launch(api: KubeApi, pod: PodObject, address: string, tail: LogTail): Promise<Running> {
  const [container] = pod.spec.containers;
  const env = await envOf(api, pod, container, address);
  const [program = 'false', ...args] = [...(container?.command ?? []), ...(container?.args ?? [])].map(
    (text) => text.replace(/\$\((\w+)\)/g, (whole, name: string) => env[name] ?? whole),
  );
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => tail.append(`${pod.metadata.name}: ${chunk}`));
  }
  child.once('error', (error) => tail.append(`${pod.metadata.name}: ${error.message}\n`));
  return { child, address, isReady: false };
}

async function envOf(
  api: KubeApi,
  { metadata }: PodObject,
  container: Container | undefined,
  address: string,
): Promise<Record<string, string>> {
  const env: Record<string, string> = {};
  for (const { configMapRef } of container?.envFrom ?? []) {
    if (!configMapRef) continue;
    const path = `/api/v1/namespaces/default/configmaps/${configMapRef.name}`;
    Object.assign(env, ((await api.request('GET', path)) as { data?: Record<string, string> }).data);
  }
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': metadata.name,
    'status.podIP': address,
  };
  for (const { name, value, valueFrom } of container?.env ?? []) {
    env[name] = value ?? fields[valueFrom?.fieldRef?.fieldPath ?? ''] ?? '';
  }
  return env;
}

async function say(api: KubeApi, name: string, { address, isReady }: Running): Promise<void> {
  const status = {
    phase: 'Running',
    podIP: address,
    podIPs: [{ ip: address }],
    conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
  };
  await api.patch({ kind: 'Pod', name, subresource: 'status' }, { status }).catch(unlessGone);
}

const portOf = ({ spec }: PodObject): number => spec.containers[0]?.ports?.[0]?.containerPort ?? 0;

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 });
    const end = (so: boolean) => {
      socket.destroy();
      resolve(so);
    };
    socket.once('connect', () => end(true)).once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

const hasEnded = (child: ChildProcess): boolean =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

function unlessGone(thrown: unknown): void {
  if (!(thrown instanceof KubeApiError && thrown.status === 404)) throw thrown;
}
