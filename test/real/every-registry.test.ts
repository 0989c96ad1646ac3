// The demo of compose/, on true registries: `orders` with one instance that five of them know at once. It is one
// endpoint with five witnesses, and it stays while they go dark one after the other.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DEMO_PEERS, startDemoServers } from '../../compose/servers.ts';
import type { DemoServers } from '../../compose/servers.ts';
import { ORDERS_1, SEEDED } from '../../compose/world.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';

const START_MS = 180_000;
/** The design's bound for a dark source, five times. */
const DARK = { withinMs: 100_000, everyMs: 250 };

describePeers(DEMO_PEERS, 'one service in five registries', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;
  let demo: DemoServers;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-every-'));
    demo = await startDemoServers(start);
    control = await startControlPlane(folder, demo.sources);
  }, START_MS);
  afterAll(async () => {
    await control?.stop();
    await demo?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const shared = async () => {
    const text = await isthmus('get', 'endpoints', 'orders', '-o', 'json', '--server', control.adminUrl);
    const { items } = JSON.parse(text) as {
      items: { address: string; state: string; sources: string[] }[];
    };
    return items.filter(({ address }) => address === ORDERS_1.address);
  };

  it('is one endpoint with five witnesses', async () => {
    const [endpoint, ...others] = await shared();
    expect(others).toEqual([]);
    expect(endpoint).toMatchObject({ ...ORDERS_1, state: 'live', sources: SEEDED });
    const table = await isthmus('get', 'endpoints', 'orders', '-o', 'wide', '--server', control.adminUrl);
    const line = table.split('\n').find((text) => text.includes(`${ORDERS_1.address}:${ORDERS_1.port}`));
    expect(line).toContain('   consul-dc1 eureka zk etcd k8s   ');
  });

  it('is beside what the other kinds of sources know', async () => {
    const text = await isthmus('get', 'services', '-o', 'json', '--server', control.adminUrl);
    const { items } = JSON.parse(text) as { items: { name: string; endpoints: number }[] };
    for (const name of ['orders-by-name', 'mainframe']) {
      expect(items).toContainEqual(expect.objectContaining({ name, endpoints: 1 }));
    }
  });

  it('is fine by `isthmus check`, source by source', async () => {
    const said = await isthmus('check', '-c', join(folder, 'isthmus.yaml'));
    for (const name of SEEDED) expect(said).toMatch(new RegExp(`✓ ${name} \\(`));
  });

  it('stays as the registries die one by one, and is held when none is left', {
    timeout: START_MS * 3,
  }, async () => {
    for (const name of SEEDED) {
      await demo.peers.get(name)?.kill();
      await eventually(async () => {
        const text = await isthmus('get', 'sources', name, '-o', 'json', '--server', control.adminUrl);
        return (JSON.parse(text) as { items: { state: string }[] }).items[0]?.state === 'stale';
      }, DARK);
      const [endpoint] = await shared();
      expect(endpoint?.sources).toHaveLength(SEEDED.length);
      expect(endpoint?.state).toBe(name === SEEDED.at(-1) ? 'held' : 'live');
    }
  });
});
