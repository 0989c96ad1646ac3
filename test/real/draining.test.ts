// What drains gets nothing new, however few of the others are left, on Envoy and on the bundled proxy; and what is
// under way there runs to its end.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';

const WITHIN = { withinMs: 60_000 };
const STEP_MS = 240_000;
const FOUR = ['a', 'b', 'c', 'd'] as const;
type Name = (typeof FOUR)[number];

for (const kind of ['envoy', 'proxy'] as const) {
  const needed = kind === 'envoy' ? (['envoy'] as const) : [];
  describePeers(needed, `draining through ${kind}`, (start) => scenario(kind, start));
}

interface App {
  readonly name: Name;
  readonly address: string;
  /** Requests for /long that it holds. */
  held(): number;
  /** Lets them end. */
  release(): void;
  stop(): Promise<void>;
}

/** Answers its name; on /long it begins at once and ends when it is told to. */
async function startApp(name: Name): Promise<App> {
  const held = new Set<() => void>();
  const server = createServer((request, response) => {
    request.resume();
    if (request.url !== '/long') return void response.end(name);
    response.write(`${name} begins `);
    held.add(() => response.end('and ends'));
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    name,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    held: () => held.size,
    release() {
      for (const end of held) end();
      held.clear();
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  const apps: App[] = [];
  let folder: string;
  let control: ControlPlaneProcess;
  let plane: DataPlane;

  const ask = async (path = '/'): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${plane.port}${path}`, { headers: { service: 'orders' } });
    const text = await response.text();
    return response.status === 200 ? text : String(response.status);
  };
  /** Who answers so many requests in a row. */
  const answering = async (asked = 200) => {
    const names = new Set<string>();
    for (let n = 0; n < asked; n += 1) names.add(await ask());
    return [...names].sort();
  };
  const untilAnswering = (names: readonly string[]) =>
    eventually(async () => {
      expect(await answering(60)).toEqual(names);
      return true;
    }, WITHIN);
  const set = async (what: 'drain' | 'undrain', names: readonly Name[]) => {
    const token = ['--token-file', join(folder, 'isthmus-data', 'admin-token'), '--server', control.adminUrl];
    for (const { name, address } of apps) {
      if (names.includes(name)) await isthmus('endpoint', what, 'orders', address, ...token);
    }
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-draining-'));
    for (const name of FOUR) apps.push(await startApp(name));
    const targets = apps.map(({ address }) => address);
    await writeFile(join(folder, 'vms.json'), JSON.stringify([{ targets, labels: { service: 'orders' } }]));
    control = await startControlPlane(folder, [{ name: 'vms', kind: 'file', path: './vms.json' }]);
    plane = await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'caller' });
    await untilAnswering(FOUR);
  }, STEP_MS);
  afterAll(async () => {
    await plane?.stop();
    await control?.stop();
    await Promise.all(apps.map((app) => app.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  it('three of four drain: no panic sends to them, and what is under way ends well', {
    timeout: STEP_MS,
  }, async () => {
    const long = ask('/long');
    const busy = await eventually(() => apps.find((app) => app.held() > 0), WITHIN);
    const [stays] = FOUR.filter((name) => name !== busy.name);
    await set(
      'drain',
      FOUR.filter((name) => name !== stays),
    );
    await untilAnswering([stays ?? '']);
    expect(await answering(500)).toEqual([stays]);
    expect(busy.held()).toBe(1);
    busy.release();
    expect(await long).toBe(`${busy.name} begins and ends`);
  });

  it('all drain: nobody gets anything; undrained, all answer', { timeout: STEP_MS }, async () => {
    await set('drain', FOUR);
    await untilAnswering(['503']);
    await set('undrain', FOUR);
    await untilAnswering(FOUR);
  });
}
