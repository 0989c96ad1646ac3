// Sidecars that register the app beside them, an Envoy and the bundled proxy in turn: listed once they answered in
// the name of their service, one endpoint with what a registry lists, gone when they drain, refusing calls that
// are meant for somebody else.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EndpointJson } from '../../admin/types.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';

const WITHIN = { withinMs: 60_000 };
const STEP = { timeout: 120_000 };
const ASKED = 'x-isthmus-service';
const ANSWERED = 'x-envoy-upstream-healthchecked-cluster';

for (const kind of ['envoy', 'proxy'] as const) {
  const needed = kind === 'envoy' ? (['envoy'] as const) : [];
  describePeers(needed, `a sidecar that is ${kind}`, (start) => scenario(kind, start));
}

/** Answers its name, and remembers the headers it got. */
async function startApp(name: string) {
  const heard: IncomingHttpHeaders[] = [];
  let isWell = true;
  const server = createServer((request, response) => {
    heard.push(request.headers);
    request.resume();
    response.statusCode = isWell || request.url !== '/health' ? 200 : 500;
    response.end(name);
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    heard,
    /** What it says of itself at /health. */
    be(well: boolean) {
      isWell = well;
    },
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  let folder: string;
  let control: ControlPlaneProcess;
  let caller: DataPlane;
  let sidecar: DataPlane;
  let app: Awaited<ReturnType<typeof startApp>>;
  /** Another service's, beside the same sidecar. */
  let second: Awaited<ReturnType<typeof startApp>>;
  let secondPort: number;

  const endpoints = async (service = 'orders.default'): Promise<readonly EndpointJson[]> => {
    const response = await fetch(`${control.adminUrl}/api/v1/services/${service}/endpoints`);
    return response.status === 200 ? ((await response.json()) as { items: EndpointJson[] }).items : [];
  };
  const list = async (targets: readonly string[]) => {
    const file = join(folder, 'vms.json');
    await writeFile(
      `${file}.new`,
      JSON.stringify([{ targets, labels: { service: 'orders', version: 'v1' } }]),
    );
    await rename(`${file}.new`, file);
  };
  const ask = async (port: number, headers: Readonly<Record<string, string>>) => {
    const response = await fetch(`http://127.0.0.1:${port}/health`, { headers });
    return { status: response.status, text: await response.text(), name: response.headers.get(ANSWERED) };
  };
  const startSidecar = () =>
    startDataPlane(kind, start, {
      xdsPort: control.xdsPort,
      service: 'orders',
      appPort: app.port,
      nodeId: `${kind}-orders-1`,
      flags: [
        ...['--weight', '20', '--label', 'version=v2', '--health-path', '/health'],
        ...['--also', `carts=${second.port}@127.0.0.1:${secondPort}`],
        ...['--health-interval', '500ms', '--health-timeout', '400ms', '--health-fall', '2'],
      ],
    });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-sidecars-'));
    app = await startApp('orders-1');
    second = await startApp('carts-1');
    secondPort = await freePort();
    await list([]);
    control = await startControlPlane(folder, [
      { name: 'vms', kind: 'file', path: './vms.json' },
      { name: 'sidecars', kind: 'sidecar', grace: '2s' },
    ]);
    caller = await startDataPlane('proxy', start, { xdsPort: control.xdsPort, service: 'web' });
    sidecar = await startSidecar();
  });
  afterAll(async () => {
    await sidecar?.stop();
    await caller?.stop();
    await control?.stop();
    await app?.stop();
    await second?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('is an endpoint of its service, at its own port, with what it says of itself', async () => {
    const [endpoint] = await eventually(async () => {
      const all = await endpoints();
      return all.length > 0 && all;
    }, WITHIN);
    expect(endpoint).toMatchObject({
      address: '127.0.0.1',
      port: sidecar.inboundPort,
      state: 'live',
      weight: 20,
      sources: ['sidecars'],
      labels: { version: 'v2', 'isthmus.dev/app-port': String(app.port) },
    });
    await eventually(async () => (await ask(caller.port, { service: 'orders' })).text === 'orders-1', WITHIN);
  });

  it('answers in the name of its service, and refuses another one before the app sees it', async () => {
    // Checks of the app come in between.
    const heard = (mark: string) => app.heard.filter((headers) => headers['x-mark'] === mark);
    const own = await ask(sidecar.inboundPort, { [ASKED]: 'orders.default', 'x-mark': 'own' });
    expect(own).toEqual({ status: 200, text: 'orders-1', name: 'orders.default' });
    expect(heard('own').map((headers) => headers[ASKED])).toEqual([undefined]);
    const other = await ask(sidecar.inboundPort, { [ASKED]: 'carts.default', 'x-mark': 'other' });
    expect(other).toMatchObject({ status: 421, name: 'orders.default' });
    expect(heard('other')).toEqual([]);
    const nobody = await ask(sidecar.inboundPort, {});
    expect(nobody).toEqual({ status: 200, text: 'orders-1', name: null });
  });

  it('is one endpoint with what a registry lists at the port of its app', async () => {
    await list([`127.0.0.1:${app.port}`]);
    const [endpoint, ...more] = await eventually(async () => {
      const all = await endpoints();
      return all[0]?.sources.length === 2 && all;
    }, WITHIN);
    expect(more).toEqual([]);
    expect(endpoint).toMatchObject({ port: sidecar.inboundPort, sources: ['vms', 'sidecars'] });
    expect(endpoint?.labels.version).toBe('v1');
  });

  it('leaves at once when it stops, and the app is called at its own port again', async () => {
    await sidecar.stop();
    await eventually(async () => {
      const all = await endpoints();
      return all.length === 1 && all[0]?.port === app.port && all[0].sources.join() === 'vms';
    }, WITHIN);
    await eventually(async () => (await ask(caller.port, { service: 'orders' })).text === 'orders-1', WITHIN);
  });

  it('comes back', async () => {
    sidecar = await startSidecar();
    await eventually(async () => {
      const all = await endpoints();
      return all.length === 1 && all[0]?.port === sidecar.inboundPort;
    }, WITHIN);
  });

  it('is live no longer while its process stands still, without a word', STEP, async ({ skip }) => {
    const { pid } = sidecar;
    if (pid === undefined) return skip('no process of this machine');
    const isLive = async () =>
      (await endpoints()).some(({ port, state }) => port === sidecar.inboundPort && state === 'live');
    process.kill(pid, 'SIGSTOP');
    try {
      await eventually(async () => !(await isLive()), WITHIN);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await eventually(isLive, WITHIN);
  });

  it('is called for as long as its app is well, as the sidecar finds', STEP, async () => {
    const other = await startApp('orders-2');
    await list([app.port, other.port].map((port) => `127.0.0.1:${port}`));
    const healthIs = (health: EndpointJson['health']) =>
      eventually(async () => {
        const all = await endpoints();
        return all.length === 2 && all.find((e) => e.port === sidecar.inboundPort)?.health === health;
      }, WITHIN);
    const heard = async () => {
      const answers = new Set<string>();
      for (let n = 0; n < 12; n += 1) answers.add((await ask(caller.port, { service: 'orders' })).text);
      return [...answers].sort().join();
    };
    await healthIs('healthy');
    await eventually(async () => (await heard()) === 'orders-1,orders-2', WITHIN);
    app.be(false);
    await healthIs('unhealthy');
    await eventually(async () => (await heard()) === 'orders-2', WITHIN);
    app.be(true);
    await healthIs('healthy');
    await eventually(async () => (await heard()) === 'orders-1,orders-2', WITHIN);
    await other.stop();
  });

  it('offers a second app beside it under its own name, for as long as that one is well', STEP, async () => {
    const isHealth = (health: EndpointJson['health']) =>
      eventually(async () => (await endpoints('carts.default'))[0]?.health === health, WITHIN);
    await isHealth('healthy');
    const [endpoint, ...more] = await endpoints('carts.default');
    expect(more).toEqual([]);
    expect(endpoint).toMatchObject({
      address: '127.0.0.1',
      port: secondPort,
      weight: 1,
      sources: ['sidecars'],
      labels: { 'isthmus.dev/app-port': String(second.port), 'isthmus.dev/health-path': '/health' },
    });
    await eventually(async () => (await ask(caller.port, { service: 'carts' })).text === 'carts-1', WITHIN);
    expect(await ask(secondPort, { [ASKED]: 'orders.default' })).toMatchObject({
      status: 421,
      name: 'carts.default',
    });
    second.be(false);
    await isHealth('unhealthy');
    expect((await endpoints()).find((e) => e.port === sidecar.inboundPort)?.health).toBe('healthy');
    // An Envoy does not say goodbye.
    if (kind !== 'proxy') return;
    await sidecar.stop();
    await eventually(async () => (await endpoints('carts.default')).length === 0, WITHIN);
  });
}
