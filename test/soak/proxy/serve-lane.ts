// The real lane: a control plane in a process of its own reads endpoints from a file that is written anew at each
// change, and policies from files of resources; the bundled proxy (and an Envoy) hear of them from it.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../../../lib/errors.ts';
import { fetch } from 'undici';
import { startControlPlane } from '../../support/control-plane.ts';
import { startDataPlane } from '../../support/data-plane.ts';
import type { DataPlane } from '../../support/data-plane.ts';
import { startPeer } from '../../support/start-peer.ts';
import type { Lane } from './lane.ts';
import type { Service } from './world.ts';

/** From the writing of a file to the data plane. */
const SETTLE_MS = 5_000;
const BALANCERS = { ROUND_ROBIN: 'roundRobin', LEAST_REQUEST: 'leastRequest', RANDOM: 'random' } as const;

export async function startServeLane(
  services: readonly Service[],
  envoy: boolean,
  folder: string,
): Promise<Lane> {
  const policies = join(folder, 'policies');
  await mkdir(policies);
  const endpoints = new Newest(join(folder, 'vms.json'), () => endpointsText(services));
  const files = new Map(
    services.map((service) => [
      service.name,
      new Newest(join(policies, `${service.name}.yaml`), () => policyText(service)),
    ]),
  );
  for (const file of [endpoints, ...files.values()]) await file.write();
  // Here endpoints do flap for hours, and are meant to be called all the same.
  const sources = [{ name: 'vms', kind: 'file', path: './vms.json', damping: { enabled: false } }];
  const control = await startControlPlane(folder, sources, { resources: ['./policies'], logLevel: 'warn' });
  const planes: DataPlane[] = [];
  const { xdsPort } = control;
  for (const kind of envoy ? (['proxy', 'envoy'] as const) : (['proxy'] as const)) {
    const start = <N extends Parameters<typeof startPeer>[0]>(
      name: N,
      options?: Parameters<typeof startPeer>[2],
    ) => startPeer(name, 'process', options);
    planes.push(await startDataPlane(kind, start, { service: 'serve-web', xdsPort }));
  }
  let failed: string | undefined;
  return {
    name: 'serve',
    planes,
    settleMs: SETTLE_MS,
    tell(service, what) {
      const file = what === 'endpoints' ? endpoints : files.get(service.name);
      file?.write().catch((thrown: unknown) => (failed = describeError(thrown)));
    },
    refusals: () => (failed === undefined ? [] : [failed]),
    async shown({ name, members }) {
      const answer = await fetch(`${control.adminUrl}/api/v1/services/${name}/endpoints`);
      const { items } = (await answer.json()) as { items: readonly Shown[] };
      const nameOf = (port: number) => members.find(({ host }) => host.port === port)?.host.name ?? port;
      return items
        .map(({ port, state, weight, priority, reason }) => {
          return `${nameOf(port)} ${state} weight ${weight} priority ${priority} (${reason})`;
        })
        .join(', ');
    },
    async stop() {
      await Promise.all(planes.map((plane) => plane.stop()));
      await control.stop();
    },
  };
}

/** The fields of the admin API that are used here. */
interface Shown {
  readonly port: number;
  readonly state: string;
  readonly weight: number;
  readonly priority: number | null;
  readonly reason: string;
}

/** A file that is always whole, and in the end has the newest text. */
class Newest {
  readonly #path: string;
  readonly #text: () => string;
  #writing = false;
  #again = false;

  constructor(path: string, text: () => string) {
    this.#path = path;
    this.#text = text;
  }

  async write(): Promise<void> {
    this.#again = true;
    if (this.#writing) return;
    this.#writing = true;
    try {
      while (this.#again) {
        this.#again = false;
        // Not a name that a reader of the folder takes.
        const next = `${this.#path}.next`;
        await writeFile(next, this.#text());
        await rename(next, this.#path);
      }
    } finally {
      this.#writing = false;
    }
  }
}

function endpointsText(services: readonly Service[]): string {
  const groups = services.flatMap(({ name, told }) =>
    told.map(({ host, weight }) => ({
      targets: [`127.0.0.1:${host.port}`],
      labels: { service: name, weight: String(weight) },
    })),
  );
  return JSON.stringify(groups);
}

function policyText({ name, policy }: Service): string {
  const { balancer, ejectAfter, retries, perTryMs, requestsPerConnection } = policy;
  return JSON.stringify({
    apiVersion: 'isthmus.dev/v1alpha1',
    kind: 'ServicePolicy',
    metadata: { name },
    spec: {
      service: name,
      timeout: '20s',
      retries: { attempts: retries, perTryTimeout: `${perTryMs}ms`, on: ['5xx', 'reset', 'connect-failure'] },
      balancer: BALANCERS[balancer],
      ...(ejectAfter > 0 && {
        outlierDetection: {
          consecutive5xx: ejectAfter,
          interval: '1s',
          baseEjectionTime: '1s',
          maxEjectionPercent: 50,
        },
      }),
      pool: {
        connectTimeout: '1s',
        maxRetries: 100_000,
        ...(requestsPerConnection > 0 && { maxRequestsPerConnection: requestsPerConnection }),
      },
    },
  });
}
