// npm run demo:registries: the demo of this folder without containers. The servers are those of the tests
// (test/support/servers/get.sh makes them), the config is isthmus.yaml with their ports. Until Ctrl-C.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../lib/clock.ts';
import { aborted } from '../lib/abort.ts';
import { stopOnSignals } from '../cli/signals.ts';
import { startControlPlane } from '../test/support/control-plane.ts';
import { isthmus } from '../test/support/isthmus.ts';
import type { Peer } from '../test/support/peer.ts';
import { survey } from '../test/support/peers.ts';
import { startPeer } from '../test/support/start-peer.ts';
import { DEMO_PEERS, startDemoServers } from './servers.ts';

const STOP_MS = 20_000;
const say = (text: string) => process.stdout.write(`${text}\n`);

async function demo(signal: AbortSignal): Promise<number> {
  const found = await survey();
  const missing = DEMO_PEERS.flatMap((name) => {
    const choice = found[name];
    return choice.mode === 'skip' ? [`${name}: ${choice.reason}`] : [];
  });
  if (missing.length > 0) {
    process.stderr.write(`these servers cannot be started:\n${missing.join('\n')}\n`);
    return 1;
  }
  const peers: Peer[] = [];
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-demo-'));
  try {
    const servers = await startDemoServers(async (name) => {
      signal.throwIfAborted();
      say(`starting ${name}`);
      const { mode } = found[name];
      if (mode === 'skip') throw new Error(`${name} cannot be started`);
      const peer = await startPeer(name, mode);
      peers.push(peer);
      return peer;
    });
    const control = await startControlPlane(folder, servers.sources);
    const at = ['--server', control.adminUrl];
    for (const command of [
      ['get', 'sources'],
      ['get', 'services'],
      ['get', 'endpoints', 'orders', '-o', 'wide'],
    ]) {
      say(`\n$ npx isthmus ${[...command, ...at].join(' ')}\n${await isthmus(...command, ...at)}`);
    }
    say(`Kill one and look again; xDS is at 127.0.0.1:${control.xdsPort}. Ctrl-C ends everything.`);
    for (const [name, { url, pid }] of servers.peers)
      say(`  ${name.padEnd(12)} ${url}  process ${pid ?? '-'}`);
    await aborted(signal);
    await control.stop();
    await servers.stop();
    return 0;
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
    await rm(folder, { recursive: true, force: true });
  }
}

const stop = stopOnSignals({ clock: systemClock, withinMs: STOP_MS });
const code = await demo(stop.signal);
process.exit(code);
