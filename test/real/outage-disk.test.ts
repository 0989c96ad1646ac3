// The disk of a control plane: killed while it writes, again and again; killed while its registry is dead; and with
// a disk that is full. Callers through Envoy and through the bundled proxy notice nothing, and what was known last
// is always whole.
import { watch } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect } from 'vitest';
import type { EndpointJson, SourceJson } from '../../admin/types.ts';
import { readWhole } from '../../aggregator/lkg/read.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { consulHand } from '../support/hands/consul.ts';
import { fileHand } from '../support/hands/file.ts';
import type { FileHand } from '../support/hands/file.ts';
import { isthmus, isthmusSaid } from '../support/isthmus.ts';
import {
  SOON,
  STEP_MS,
  startBackends,
  startCallers,
  startOutageWorld,
  stepsIn,
} from '../support/outage-world.ts';
import type { Callers, OutageWorld } from '../support/outage-world.ts';
import type { Peer } from '../support/peer.ts';
import { mountSmallDisk, noSmallDisk, unmountDisk } from '../support/small-disk.ts';

const LONG = process.env['ISTHMUS_LONG'] === '1';
const KILLS = LONG ? 100 : 4;

const byNumber = (a: number, b: number) => a - b;

describePeers(['consul', 'envoy'], 'a control plane that is killed', killed);
describePeers(['envoy'], 'a control plane whose disk is full', full, [noSmallDisk()]);

function killed(start: StartPeer): void {
  const SERVICES = 40;
  let folder: string;
  let consul: Peer;
  let backends: ReadonlyMap<string, Backend>;
  let control: ControlPlaneProcess;
  let callers: Callers;
  /** The newest state that was given to the source. */
  let newest = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-killed-'));
    consul = await start('consul');
    backends = await startBackends(['vm-1', 'vm-2']);
    await consulHand(consul.url).set('orders', [...backends.values()]);
    await write(state(newest));
    control = await startControlPlane(
      folder,
      [
        { name: 'many', kind: 'file', path: './many.json' },
        { name: 'consul', kind: 'consul', address: consul.url },
      ],
      { dataDir: join(folder, 'data'), lastKnownGood: { writeEvery: '10ms' } },
    );
    // Before there is a first file, there is nothing to fall back on.
    for (const name of ['many', 'consul']) {
      const file = join(folder, 'data', 'sources', `${name}.lkg`);
      await eventually(async () => (await stat(file)).size > 0, SOON);
    }
    callers = await startCallers(start, control.xdsPort);
    await callers.call('orders', 60);
    await callers.answering('orders', ['vm-1', 'vm-2']);
  }, STEP_MS);
  afterAll(async () => {
    await callers?.stop();
    await control?.stop();
    for (const backend of backends?.values() ?? []) await backend.stop();
    await rm(folder, { recursive: true, force: true });
  }, STEP_MS);

  /** Every endpoint says which state it is of. */
  const state = (n: number) =>
    JSON.stringify(
      Array.from({ length: SERVICES }, (_, service) => ({
        targets: Array.from({ length: 25 }, (_each, host) => `10.${service}.0.${host + 1}:80`),
        labels: { service: `many-${service}`, state: String(n) },
      })),
    );
  const write = async (text: string) => {
    await writeFile(join(folder, 'next'), text);
    await rename(join(folder, 'next'), join(folder, 'many.json'));
  };
  const get = async <T>(path: string): Promise<readonly T[]> => {
    const answer = await fetch(`${control.adminUrl}/api/v1/${path}`, { headers: { connection: 'close' } });
    return ((await answer.json()) as { items: T[] }).items;
  };
  const source = async (name: string) => (await get<SourceJson>('sources')).find((s) => s.name === name);
  /**
   * The oldest and the newest state that a service of the source is of. Services are told one by one, so two may
   * be a state apart; each of them is of one state as a whole.
   */
  const served = async (): Promise<{ readonly oldest: number; readonly latest: number }> => {
    const of = (await get<EndpointJson>('endpoints')).filter(({ sources }) => sources.includes('many'));
    expect(of).toHaveLength(SERVICES * 25);
    const states = new Map(of.map(({ service, labels }) => [service, Number(labels['state'])]));
    expect(of.filter(({ service, labels }) => Number(labels['state']) !== states.get(service))).toEqual([]);
    const all = [...states.values()];
    return { oldest: Math.min(...all), latest: Math.max(...all) };
  };

  const step = stepsIn(() => callers);

  step(
    `${KILLS} times in the middle of writing: what is found is whole, and no older than before`,
    async () => {
      let known = 0;
      for (let kill = 0; kill < KILLS; kill += 1) {
        // Changes without a pause, and a death at a random moment after one of the writings has begun.
        const begun = begins(
          join(folder, 'data', 'sources'),
          'many.lkg.tmp',
          1 + Number(LONG && kill % 4 === 0),
        );
        let changing = true;
        const changes = (async () => {
          while (changing) {
            newest += 1;
            await write(state(newest));
            await delay(60);
          }
        })();
        await begun;
        await delay(Math.random() * 12);
        await control.kill();
        changing = false;
        await changes;
        // Nobody but the file that was written can tell it now.
        await write('{');
        await control.restart();
        expect(await source('many')).toMatchObject({ state: 'stale', endpoints: SERVICES * 25 });
        expect(control.log()).not.toContain('is not used');
        const found = await served();
        expect(found.oldest).toBeGreaterThanOrEqual(known);
        expect(found.latest).toBeLessThanOrEqual(newest);
        known = found.oldest;
        if (kill === 0) {
          const said = await isthmus('explain', 'many-0', '10.0.0.1:80', '--server', control.adminUrl);
          expect(said).toMatch(/^dark .* many /m);
        }
        newest += 1;
        await write(state(newest));
        await eventually(async () => (await served()).oldest === newest, SOON);
      }
      // A few deaths may all have come before the new file took the old one's place.
      if (LONG) expect(known).toBeGreaterThan(0);
    },
    STEP_MS + KILLS * 15_000,
  );

  step('while its registry is dead: it starts with what it knew', async () => {
    await consul.kill();
    await control.restart();
    expect(await source('consul')).toMatchObject({ state: 'stale', endpoints: 2, held: 2, doubted: 0 });
    const said = await isthmus('get', 'sources', 'consul', '--server', control.adminUrl);
    expect(said).toContain('stale');
    await callers.answering('orders', ['vm-1', 'vm-2']);
    await consul.restart();
    await eventually(async () => (await source('consul'))?.state === 'live', SOON);
  });
}

/** Resolves when this file has come into being for the nth time. */
async function begins(folder: string, name: string, nth: number): Promise<void> {
  const watcher = watch(folder);
  try {
    await new Promise<void>((resolve, reject) => {
      let seen = 0;
      watcher.once('error', reject);
      watcher.on('change', (type, file) => {
        if (type !== 'rename' || file !== name) return;
        // It is made, and later takes another name.
        seen += 1;
        if (seen === 2 * nth - 1) resolve();
      });
    });
  } finally {
    watcher.close();
  }
}

function full(start: StartPeer): void {
  let folder: string;
  let dataDir: string;
  let ballast: string;
  let backends: ReadonlyMap<string, Backend>;
  let vms: FileHand;
  let world: OutageWorld;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-full-'));
    dataDir = join(folder, 'data');
    ballast = join(dataDir, 'ballast');
    await mkdir(dataDir);
    mountSmallDisk(dataDir, 512);
    backends = await startBackends(['vm-1', 'vm-2', 'vm-3']);
    vms = fileHand(join(folder, 'vms.json'));
    await offer('vm-1', 'vm-2');
    const path = join(folder, 'vms.json');
    world = await startOutageWorld(start, { dataDir, sources: [{ name: 'vms', kind: 'file', path }] });
    await world.call('orders', 60);
    await eventually(async () => (await onDisk()).length === 2, SOON);
  }, STEP_MS);
  afterAll(async () => {
    await world?.stop();
    for (const backend of backends?.values() ?? []) await backend.stop();
    unmountDisk(dataDir);
    await rm(folder, { recursive: true, force: true });
  }, STEP_MS);

  const offer = (...names: readonly string[]) =>
    vms.set(
      'orders',
      names.map((name) => {
        const { address = '', port = 0 } = backends.get(name) ?? {};
        return { address, port };
      }),
    );
  const portOf = (name: string) => backends.get(name)?.port ?? 0;
  /** Ports of the instances in the last known good. */
  const onDisk = async (): Promise<readonly number[]> => {
    const options = { source: 'vms', kind: 'file', maxBytes: 1e9, notBefore: 0 };
    const known = await readWhole(join(dataDir, 'sources', 'vms.lkg'), options);
    return (known?.shards ?? [])
      .flatMap(({ group }) => group.endpoints.map(({ port }) => port))
      .sort(byNumber);
  };
  const operate = (verb: string, name: string, ...flags: string[]) => {
    const token = ['--token-file', join(dataDir, 'admin-token'), '--server', world.adminUrl];
    return isthmusSaid('endpoint', verb, 'orders', `127.0.0.1:${portOf(name)}`, ...flags, ...token);
  };
  const metric = async (name: string) => {
    const text = await (await fetch(`${world.adminUrl}/metrics`)).text();
    return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)`, 'm').exec(text)?.[1] ?? 0);
  };

  const step = stepsIn(() => world);

  step('changes reach callers, alarms are raised, and the old file stays whole', async () => {
    await fillUp(ballast);
    const before = await onDisk();
    await offer('vm-2', 'vm-3');
    await world.answering('orders', ['vm-2', 'vm-3']);
    await eventually(async () => (await metric('isthmus_last_known_good_faults_total')) > 0, SOON);
    // What the file system had given the journal before is used up first.
    for (let n = 0; (await metric('isthmus_journal_dropped_lines')) === 0; n += 1) {
      await offer('vm-2', 'vm-3', ...(n % 2 === 0 ? ['vm-1'] : []));
      await eventually(async () => (await world.source('vms')).endpoints === 3 - (n % 2), SOON);
    }
    await offer('vm-2', 'vm-3');
    await world.answering('orders', ['vm-2', 'vm-3']);
    expect(world.log()).toContain('ENOSPC');
    expect(world.log()).toContain('the last known good cannot be written');
    expect(world.log()).toContain('the journal cannot be written: history has a gap');
    expect(await onDisk()).toEqual(before);
    expect(await world.source('vms')).toMatchObject({ state: 'live', endpoints: 2 });
    expect(await world.isthmus('explain', 'orders', `127.0.0.1:${portOf('vm-3')}`)).toContain(
      'listed by vms',
    );
    expect(await world.isthmus('history', 'orders')).toContain('lines are missing up to here');
    // What an operator does counts at once, and he is told that it would not outlive a restart.
    const drained = await operate('drain', 'vm-3', '--for', '10m');
    expect(`${drained.stdout}${drained.stderr}`).toContain('ENOSPC');
    await world.answering('orders', ['vm-2']);
    await operate('undrain', 'vm-3');
    await world.answering('orders', ['vm-2', 'vm-3']);
  });

  step('there is room again: all of it is written', async () => {
    await rm(ballast);
    // A full disk is asked again after ten seconds.
    world.clock.run(10);
    await eventually(
      async () => (await onDisk()).join() === [portOf('vm-2'), portOf('vm-3')].sort(byNumber).join(),
      SOON,
    );
    world.clock.run(1);
    expect(world.log()).toContain('the last known good is written again');
    await offer('vm-1', 'vm-2', 'vm-3');
    await world.answering('orders', ['vm-1', 'vm-2', 'vm-3']);
    const past = await world.isthmus('history', 'orders');
    expect(past).toContain('lines are missing up to here');
    expect(past.trimEnd().split('\n').at(-1)).toContain(`127.0.0.1:${portOf('vm-1')}`);
    expect(world.log()).toContain('the journal is written again');
  });
}

/** Until not a byte more fits in. */
async function fillUp(file: string): Promise<void> {
  for (let size = 65_536; size >= 1; size = Math.floor(size / 2)) {
    const more = Buffer.alloc(size);
    for (;;) {
      const before = await stat(file).then(
        (s) => s.size,
        () => 0,
      );
      try {
        await writeFile(file, more, { flag: 'a' });
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
        const after = (await readFile(file)).length;
        if (after === before) break;
      }
    }
  }
}
