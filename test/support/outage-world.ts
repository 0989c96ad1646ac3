// A control plane in the test's own process, whose time the test can hurry, with a true Envoy and a bundled proxy
// on it, and callers that never stop calling through both. What an outage test needs to say "no request failed,
// and this is what a user reads meanwhile".
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { expect, it } from 'vitest';
import type { SourceJson } from '../../admin/types.ts';
import { startControlPlane } from '../../cli/wire.ts';
import { loadConfig } from '../../config/load.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { startBackend } from './backends.ts';
import type { Backend } from './backends.ts';
import { startDataPlane } from './data-plane.ts';
import type { StartPeer } from './describe-peer.ts';
import { eventually } from './eventually.ts';
import { HastyClock } from './hasty-clock.ts';
import { isthmus } from './isthmus.ts';
import { burst, startLoad } from './load.ts';
import type { Load } from './load.ts';
import { LogTail } from './running-server.ts';

/** Liveness, not speed: the design's bound for a dark source, five times. */
export const SOON = { withinMs: 100_000, everyMs: 100 };
export const STEP_MS = 240_000;

export interface OutageWorld {
  readonly clock: HastyClock;
  readonly xdsPort: number;
  readonly adminUrl: string;
  source(name: string): Promise<SourceJson>;
  /** Resolves when all of these are in this state. */
  allAre(state: SourceJson['state'], names: readonly string[]): Promise<void>;
  /** What the command prints. */
  isthmus(...args: string[]): Promise<string>;
  /** Every resource that data planes get, as one text. */
  resources(): Promise<string>;
  log(): string;
  /** Callers of this service through both data planes hear all of these now, and nobody else. */
  answering(service: string, names: readonly string[]): Promise<void>;
  /** From now on this service is called through both data planes. Resolves when it answers. */
  call(service: string, rate?: number): Promise<void>;
  /** The calls go on, and none has failed since they began. */
  fine(): Promise<void>;
  stop(): Promise<void>;
}

/** @param config of the control plane; its addresses and its data are taken care of. */
export async function startOutageWorld(start: StartPeer, config: object): Promise<OutageWorld> {
  const closers: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-outage-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const clock = new HastyClock();
    const tail = new LogTail();
    const control = await startHere(folder, config, clock, tail);
    closers.push(() => control.close());
    const adminUrl = `http://127.0.0.1:${control.adminPort}`;
    const ready = async () => (await fetch(`${adminUrl}/readyz`)).status === 200;
    await eventually(ready, { ...SOON, what: 'the control plane to be ready' });
    const at = { xdsPort: control.xdsPort, service: 'web' };
    const planes = await Promise.all([
      startDataPlane('envoy', start, at),
      startDataPlane('proxy', start, at),
    ]);
    for (const plane of planes) closers.push(() => plane.stop());
    const calls = new Calls(planes.map(({ port }) => port));
    closers.push(() => calls.stop());
    return worldOf({ clock, calls, tail, stop, adminUrl, xdsPort: control.xdsPort });
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

async function startHere(folder: string, config: object, clock: HastyClock, tail: LogTail) {
  const file = join(folder, 'isthmus.yaml');
  const here = { xds: { plaintext: '127.0.0.1:0' }, admin: { listen: '127.0.0.1:0' } };
  // Holds end by time alone, unless a test is about pings.
  await writeFile(file, JSON.stringify({ probe: { enabled: false }, ...config, ...here }));
  const log = createLogger('info', { write: (line) => tail.append(line) });
  const forever = new AbortController().signal;
  return startControlPlane(await loadConfig(file), { clock, log, drainMs: 1_000 }, forever);
}

interface Parts {
  readonly clock: HastyClock;
  readonly calls: Calls;
  readonly tail: LogTail;
  readonly adminUrl: string;
  readonly xdsPort: number;
  readonly stop: () => Promise<void>;
}

function worldOf({ clock, calls, tail, adminUrl, xdsPort, stop }: Parts): OutageWorld {
  const get = async (path: string) => {
    const answer = await fetch(`${adminUrl}${path}`, { headers: { connection: 'close' } });
    return answer.text();
  };
  const source = async (name: string) => {
    const { items } = JSON.parse(await get('/api/v1/sources')) as { items: SourceJson[] };
    const found = items.find((item) => item.name === name);
    if (!found) throw new Error(`no source ${name}`);
    return found;
  };
  return {
    clock,
    adminUrl,
    xdsPort,
    source,
    stop,
    async allAre(state, names) {
      await eventually(async () => {
        for (const name of names) expect(await source(name)).toMatchObject({ name, state });
        return true;
      }, SOON);
    },
    isthmus: (...args) => isthmus(...args, '--server', adminUrl),
    resources: () => get('/debug/config_dump'),
    log: () => tail.toString(),
    answering: (service, names) => calls.answering(service, names),
    call: (service, rate) => calls.start(service, rate),
    fine: () => calls.fine(),
  };
}

/** Tests under load in which no request fails. @param world asked for when a test runs. */
export function stepsIn(
  world: () => Pick<OutageWorld, 'fine'>,
): (title: string, body: () => Promise<void>) => void {
  return (title, body) =>
    it(title, { timeout: STEP_MS }, async () => {
      await body();
      await world().fine();
    });
}

/** Through each data plane, for each service. */
class Calls {
  readonly #ports: readonly number[];
  readonly #loads = new Map<string, Load[]>();

  constructor(ports: readonly number[]) {
    this.#ports = ports;
  }

  async start(service: string, rate = 30): Promise<void> {
    const loads: Load[] = [];
    for (const port of this.#ports) {
      const target = { port, headers: { host: service } };
      await eventually(() => burst(target, 10), { ...SOON, what: `answers of ${service}` });
      loads.push(startLoad({ ...target, rate, callers: Math.ceil(rate / 30) }));
    }
    this.#loads.set(service, loads);
  }

  async answering(service: string, names: readonly string[]): Promise<void> {
    const wanted = [...names].sort();
    const heard = async (load: Load) => {
      load.mark();
      await eventually(() => load.good() >= 15 * wanted.length, SOON);
      expect([...load.answers().keys()].sort()).toEqual(wanted);
      return true;
    };
    const loads = this.#loads.get(service) ?? [];
    await Promise.all(loads.map((load) => eventually(() => heard(load), SOON)));
  }

  async fine(): Promise<void> {
    const all = [...this.#loads].flatMap(([service, loads]) => loads.map((load) => ({ service, load })));
    for (const { load } of all) load.mark();
    for (const { service, load } of all) {
      await eventually(() => load.good() >= 10, { ...SOON, what: `answers of ${service}` });
    }
    expect(all.flatMap(({ service, load }) => load.failures().map((why) => `${service}: ${why}`))).toEqual(
      [],
    );
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#loads.values()].flat().map((load) => load.stop()));
  }
}

/** Instances by name, each on an address of its own if there are any. */
export async function startBackends(
  names: readonly string[],
  addresses: readonly string[] = [],
): Promise<ReadonlyMap<string, Backend>> {
  const started = new Map<string, Backend>();
  for (const [index, name] of names.entries()) started.set(name, await startBackend(name, addresses[index]));
  return started;
}
