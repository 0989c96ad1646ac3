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
import type { DataPlane } from './data-plane.ts';
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
/** Calls end by themselves when nobody stopped them. */
const LONGEST_MS = 3_600_000;

/** Two data planes, and those who call through both. */
export interface Callers {
  /** From now on this service is called, so often a second. Resolves when it answers. */
  call(service: string, rate?: number): Promise<void>;
  /** Those who call this service hear all of these now, and nobody else. */
  answering(service: string, names: readonly string[]): Promise<void>;
  /** The calls go on, and none has failed since they began. */
  fine(): Promise<void>;
  stop(): Promise<void>;
}

export interface OutageWorld extends Callers {
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
    const callers = await startCallers(start, control.xdsPort);
    closers.push(() => callers.stop());
    return worldOf({ clock, callers, tail, stop, adminUrl, xdsPort: control.xdsPort });
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
  readonly callers: Callers;
  readonly tail: LogTail;
  readonly adminUrl: string;
  readonly xdsPort: number;
  readonly stop: () => Promise<void>;
}

function worldOf({ clock, callers, tail, adminUrl, xdsPort, stop }: Parts): OutageWorld {
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
    call: (service, rate) => callers.call(service, rate),
    answering: (service, names) => callers.answering(service, names),
    fine: () => callers.fine(),
  };
}

/** Tests under load in which no request fails. @param callers asked for when a test runs. */
export function stepsIn(
  callers: () => Pick<Callers, 'fine'>,
): (title: string, body: () => Promise<void>, withinMs?: number) => void {
  return (title, body, withinMs = STEP_MS) =>
    it(title, { timeout: withinMs }, async () => {
      await body();
      await callers().fine();
    });
}

/** A true Envoy and a bundled proxy. */
export async function startCallers(start: StartPeer, xdsPort: number): Promise<Callers> {
  const at = { xdsPort, service: 'web' };
  const planes = await Promise.all([startDataPlane('envoy', start, at), startDataPlane('proxy', start, at)]);
  return new TwoPlanes(planes);
}

class TwoPlanes implements Callers {
  readonly #planes: readonly DataPlane[];
  /** By service, one for each data plane. */
  readonly #loads = new Map<string, Load[]>();

  constructor(planes: readonly DataPlane[]) {
    this.#planes = planes;
  }

  async call(service: string, rate = 30): Promise<void> {
    const loads: Load[] = [];
    for (const { port } of this.#planes) {
      const target = { port, headers: { host: service } };
      await eventually(() => burst(target, 10), { ...SOON, what: `answers of ${service}` });
      loads.push(startLoad({ ...target, rate, callers: Math.ceil(rate / 30), maxMs: LONGEST_MS }));
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
    await Promise.all(this.#planes.map((plane) => plane.stop()));
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
