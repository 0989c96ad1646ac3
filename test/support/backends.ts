// Sample services that really listen and say who they are: on loopback for VMs, on pod addresses (network
// namespace, or containers) for Kubernetes.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort } from './free-port.ts';
import { podAddresses } from './netns.ts';

export interface Backend {
  /** What it answers: its name. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** Longer than any test: idle connections end by the client's choice, as behind a real load balancer. */
const KEEP_ALIVE_MS = 600_000;

export async function startBackend(name: string, address = '127.0.0.1', port = 0): Promise<Backend> {
  const server = createServer((request, response) => {
    request.resume();
    // A caller that wants a failure asks for it.
    response.statusCode = Number(request.headers['x-answer-status'] ?? 200);
    request.on('end', () => response.end(name));
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, address, () => resolve());
  });
  return {
    name,
    address,
    port: (server.address() as AddressInfo).port,
    stop: () => closeServer(server),
  };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

const POD_PORT = 9001;
const POD_IMAGE = 'isthmus-test/node:20';

/** `container`: each pod is a container with its bridge address; else it listens on an address of netns.sh. */
export async function startPods(names: readonly string[], mode: 'process' | 'container'): Promise<Backend[]> {
  if (mode === 'container') return Promise.all(names.map(startPodContainer));
  const addresses = podAddresses();
  // Other tests have pods at the same addresses.
  const port = await freePort();
  return Promise.all(names.map((name, i) => startBackend(name, addresses[i] ?? '', port)));
}

async function startPodContainer(name: string): Promise<Backend> {
  const { prepareEngine } = await import('./peers.ts');
  prepareEngine();
  const { GenericContainer, Wait } = await import('testcontainers');
  const script = `const s=require('node:http').createServer((q,r)=>{q.resume();q.on('end',()=>r.end(${JSON.stringify(name)}))});
    s.keepAliveTimeout=${KEEP_ALIVE_MS};s.listen(${POD_PORT},()=>console.log('listening'));`;
  const container = await new GenericContainer(POD_IMAGE)
    .withCommand(['node', '-e', script])
    .withWaitStrategy(Wait.forLogMessage('listening'))
    .start();
  const network = container.getNetworkNames()[0] ?? 'bridge';
  return {
    name,
    address: container.getIpAddress(network),
    port: POD_PORT,
    stop: async () => {
      await container.stop({ timeout: 0 });
    },
  };
}
