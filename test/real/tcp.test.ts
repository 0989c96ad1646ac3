// A service over TCP through Envoy and through the bundled proxy, from one control plane: bytes and ends in both
// directions, hosts that come and go, hosts that are dead. Nothing here is HTTP.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';

for (const kind of ['envoy', 'proxy'] as const) {
  const needed = kind === 'envoy' ? (['envoy'] as const) : [];
  describePeers(needed, `TCP through ${kind}`, (start) => scenario(kind, start));
}

/** Greets with its name first, then answers with what it heard, once it has heard the end. */
async function startDatabase(name: string) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.write(`${name}:`);
    let heard = 0;
    socket.on('data', (bytes) => {
      heard += bytes.length;
    });
    socket.on('end', () => socket.end(String(heard)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    target: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Database = Awaited<ReturnType<typeof startDatabase>>;

/** All that comes back, or the error's code. */
async function say(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let heard = '';
    socket.on('data', (data) => {
      heard += data.toString();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('end', () => {
      socket.destroy();
      resolve(heard);
    });
    socket.end(bytes);
  });
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  let folder: string;
  let control: ControlPlaneProcess;
  let plane: DataPlane;
  const databases: Database[] = [];

  const register = async (targets: readonly string[]) => {
    const file = join(folder, 'db.json');
    await writeFile(`${file}.new`, JSON.stringify([{ targets, labels: { service: 'db' } }]));
    await rename(`${file}.new`, file);
  };
  /** Answers to `n` connections, by text. */
  const answers = async (n: number, bytes = Buffer.alloc(10)) => {
    const counts = new Map<string, number>();
    for (let i = 0; i < n; i += 1) {
      const text = await say(plane.upstreamPort, bytes);
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    return counts;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-tcp-'));
    for (const name of ['a', 'b']) databases.push(await startDatabase(name));
    await register(databases.map(({ target }) => target));
    control = await startControlPlane(folder, [{ name: 'vms', kind: 'file', path: './db.json' }]);
    plane = await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'web', upstream: 'db' });
    await eventually(async () => (await say(plane.upstreamPort, Buffer.alloc(1))) !== 'ECONNREFUSED', {
      withinMs: 60_000,
    });
  });
  afterAll(async () => {
    await plane?.stop();
    await control?.stop();
    await Promise.all(databases.map((database) => database.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  it('spreads connections, and passes every byte and every end', async () => {
    const size = 3_000_000;
    const counts = await answers(10, Buffer.alloc(size, 'x'));
    expect(Object.fromEntries(counts)).toEqual({ [`a:${size}`]: 5, [`b:${size}`]: 5 });
  });

  it('goes to another host when one cannot be reached', async () => {
    await register([...databases.map(({ target }) => target), `127.0.0.1:${await freePort()}`]);
    await eventually(async () => {
      const stats = await plane.stats();
      return stats.get('cluster.db.default.membership_total') === 3;
    });
    expect([...(await answers(12)).keys()].sort()).toEqual(['a:10', 'b:10']);
  });

  it('leaves a host that is taken out, open connections to it stay', async () => {
    const open = net.connect({ port: plane.upstreamPort, host: '127.0.0.1', allowHalfOpen: true });
    let heard = '';
    open.on('data', (data) => {
      heard += data.toString();
    });
    await eventually(() => heard !== '');
    const [gone, stays] = heard === 'a:' ? ['a', 'b'] : ['b', 'a'];
    const [a, b] = databases.map(({ target }) => target);
    await register([(stays === 'a' ? a : b) ?? '']);
    await eventually(async () => {
      const counts = await answers(4);
      return counts.get(`${stays}:10`) === 4;
    });
    open.end('12345');
    await eventually(() => heard === `${gone}:5`);
  });
}
