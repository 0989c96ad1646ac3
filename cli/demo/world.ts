// The demo's world: a control plane, the instances of two services behind sidecars, two registries that are files, and
// two callers with their data planes. What can be done to it is here; in which order, in story.ts.
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EndpointJson } from '../../admin/types.ts';
import { loadConfig } from '../../config/load.ts';
import { aborted } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import { createLogger } from '../../telemetry/logger.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { adminClient } from '../client.ts';
import { endOnFatal } from '../fatal.ts';
import { startControlPlane } from '../wire.ts';
import type { ControlPlane } from '../wire.ts';
import { writeDemoFiles } from './files.ts';
import type { DemoFiles } from './files.ts';
import { isReady, startEnvoyPlane, startProxyPlane } from './planes.ts';
import type { CallerPlane, PlaneOptions } from './planes.ts';
import { choosePort, freePort, freePorts } from './ports.ts';
import { startInstance } from './sidecar.ts';
import type { Instance } from './sidecar.ts';
import { answers, emptyTally, runTraffic } from './traffic.ts';
import type { Tally } from './traffic.ts';
import { until } from './until.ts';

export interface WorldOptions {
  readonly clock: Clock;
  /** Of the callers' data planes; '': they are bundled proxies. */
  readonly envoy: string;
}

export interface World {
  readonly files: DemoFiles;
  /** Base URL. */
  readonly admin: string;
  /** For changes. */
  readonly token: string;
  /** Of both callers. */
  readonly tally: Tally;
  /** Of `web` alone. */
  readonly webTally: Tally;
  /** Calls orders and payments by name. */
  readonly web: CallerPlane;
  /** Calls the old side of orders, until it is told better. */
  readonly batch: CallerPlane;
  /** Some default ports were taken, others were chosen. */
  readonly moved: boolean;
  readonly instances: readonly Instance[];
  /** From now on until the world ends. */
  call(): void;
  /** `batch` calls what is given from now on. */
  batchCalls(service: string): void;
  /** Every n-th answer of the pods of orders is a 500; 0: none. */
  breakPods(n: number): void;
  /** vm-2 is switched off, and its address is given to another instance of payments. */
  reuseVm2(): Promise<Instance>;
  /** The registry of the virtual machines answers again, and knows what became of vm-2. */
  registryBack(): Promise<void>;
}

/** Ctrl-C ends the demo within 2 s, so nothing gets longer than this. */
const DRAIN_MS = 500;
/** The usual ports; others are taken when these are. */
const [ADMIN, OUTBOUND] = [15_080, 15_001];
const WEB_EVERY_MS = 10;
const BATCH_EVERY_MS = 200;
const WEB_CALLS = ['orders', 'orders', 'orders', 'orders', 'payments'];

const VMS = [
  { service: 'orders', instance: 'vm-1', side: 'vms' },
  { service: 'orders', instance: 'vm-2', side: 'vms' },
  { service: 'payments', instance: 'vm-3', side: 'vms' },
] as const;
const PODS = [
  { service: 'orders', instance: 'pod-a', side: 'pods' },
  { service: 'orders', instance: 'pod-b', side: 'pods' },
  { service: 'orders', instance: 'pod-c', side: 'pods' },
] as const;

/** @param closers what ends it, in the order in which it was begun; filled even when it throws. */
export async function startWorld(
  { clock, envoy }: WorldOptions,
  closers: (() => Promise<void> | void)[],
  stop: AbortSignal,
): Promise<World> {
  const ports = await freePorts(VMS.length + PODS.length);
  const listed = [...VMS, ...PODS].map((app, index) => ({ ...app, port: ports[index] ?? 0 }));
  const vms = listed.filter(({ side }) => side === 'vms');
  const pods = listed.filter(({ side }) => side === 'pods');
  const files = await writeDemoFiles(vms, pods);
  closers.push(() => files.remove());
  const log = openLog(files.log, closers);

  const plane = await startPlane(files.config, { clock, log }, stop);
  closers.push(() => plane.close());

  const shared = { xdsPort: plane.xdsPort, drainMs: DRAIN_MS, clock, log };
  const instances: Instance[] = [];
  closers.push(async () => {
    await Promise.all(instances.map((instance) => instance.close()));
  });
  for (const each of listed) instances.push(await startInstance({ ...each, ...shared }));

  await until('all instances to be registered', { clock, signal: stop }, () =>
    areRegistered(plane.adminPort, instances),
  );

  const planes: CallerPlane[] = [];
  closers.push(async () => {
    await Promise.all(planes.map((each) => each.close()));
  });
  const planeFor = async (service: string, outboundPort: number): Promise<CallerPlane> => {
    const options: PlaneOptions = { service, outboundPort, dir: files.dir, ...shared };
    const started = await (envoy === '' ? startProxyPlane(options) : startEnvoyPlane(envoy, options));
    planes.push(started);
    // Where it does not listen somebody else may, and answer.
    await until(`${started.node} to be ready`, { clock, signal: stop }, () => isReady(started.adminPort));
    return started;
  };
  const outbound = await choosePort(OUTBOUND);
  const web = await planeFor('web', outbound.port);
  const batch = await planeFor('batch', await freePort());
  for (const [{ outboundPort }, service] of [
    [web, 'orders'],
    [web, 'payments'],
    [batch, 'orders@vms'],
  ] as const) {
    await until(`${service} to answer`, { clock, signal: stop }, () => answers(outboundPort, service));
  }
  const [tally, webTally] = [emptyTally(), emptyTally()];
  let batchService = 'orders@vms';
  return {
    files,
    admin: `http://127.0.0.1:${plane.adminPort}`,
    token: (await readFile(join(files.data, 'admin-token'), 'utf8')).trim(),
    tally,
    webTally,
    web,
    batch,
    moved: plane.adminPort !== ADMIN || outbound.moved,
    instances,
    call() {
      const running = Promise.all([
        runTraffic(
          { port: web.outboundPort, services: () => WEB_CALLS, everyMs: WEB_EVERY_MS, clock },
          [tally, webTally],
          stop,
        ),
        runTraffic(
          { port: batch.outboundPort, services: () => [batchService], everyMs: BATCH_EVERY_MS, clock },
          [tally],
          stop,
        ),
      ]);
      // First of all: requests under way finish while everything is still there.
      closers.push(() => orLater(running, stop, clock));
    },
    batchCalls(service) {
      batchService = service;
    },
    breakPods(n) {
      for (const { app, side, service } of instances) {
        if (side === 'pods' && service === 'orders') app.failEvery(n);
      }
    },
    async reuseVm2() {
      const old = instances.findIndex(({ instance }) => instance === 'vm-2');
      const port = instances[old]?.port ?? 0;
      await instances.splice(old, 1)[0]?.close();
      const next = { service: 'payments', instance: 'vm-4', side: 'vms', port } as const;
      const started = await startInstance({ ...next, ...shared });
      instances.push(started);
      return started;
    },
    registryBack: () => files.listVms(instances.filter(({ side }) => side === 'vms')),
  };
}

/** On the usual port for the admin API, so that other commands find it; on any other when it is taken. */
async function startPlane(
  file: string,
  deps: { readonly clock: Clock; readonly log: Logger },
  stop: AbortSignal,
): Promise<ControlPlane> {
  const start = async (port: number) => {
    const flags = { 'xds.plaintext': '127.0.0.1:0', 'admin.listen': `127.0.0.1:${port}` };
    return startControlPlane(await loadConfig(file, { flags }), { ...deps, drainMs: DRAIN_MS }, stop);
  };
  try {
    return await start(ADMIN);
  } catch (thrown) {
    deps.log.info({ cause: describeError(thrown) }, 'on another port, then');
    return start(0);
  }
}

/** Each by its sidecar, which was pinged before. */
async function areRegistered(adminPort: number, instances: readonly Instance[]): Promise<true | undefined> {
  const client = adminClient(`http://127.0.0.1:${adminPort}`);
  for (const { service, port } of instances) {
    const all = await client.list<EndpointJson>(`/api/v1/services/${service}/endpoints`);
    const own = all.find((endpoint) => endpoint.port === port);
    if (own?.sources.includes('sidecars') !== true) return undefined;
  }
  return true;
}

function openLog(file: string, closers: (() => Promise<void> | void)[]): Logger {
  const logFile = createWriteStream(file);
  closers.push(() => new Promise((resolve) => logFile.end(resolve)));
  const log = createLogger('info', logFile);
  endOnFatal(log);
  return log;
}

/** Requests under way at the end get as long as the proxies' drain, no longer. */
async function orLater(running: Promise<unknown>, stop: AbortSignal, clock: Clock): Promise<void> {
  await aborted(stop);
  let cancel: () => void = () => undefined;
  const tooLate = new Promise<void>((resolve) => {
    cancel = clock.after(DRAIN_MS, resolve);
  });
  await Promise.race([running, tooLate]);
  cancel();
}
