// `describe` for tests that need true servers: runs when the survey found all of them, else is skipped with
// the reason in its title. Everything it starts is stopped; a failed test prints what its servers said.
import { afterAll, afterEach, describe, inject } from 'vitest';
import './global-setup.ts';
import type { Peer, PeerTypes } from './peer.ts';
import type { PeerName } from './peers.ts';
import { startPeer } from './start-peer.ts';
import type { StartOptions } from './start-peer.ts';

/**
 * Starts a fresh peer, ready when resolved; call it in a hook or a test. Stopped after the last test of the
 * describe. `stop()` before is fine.
 */
export type StartPeer = <N extends PeerName>(name: N, options?: StartOptions) => Promise<PeerTypes[N]>;

export function describePeers(
  names: readonly PeerName[],
  title: string,
  body: (start: StartPeer) => void,
  /** Further conditions, such as noPodNetwork(): a reason to skip, or undefined. */
  alsoNot: readonly (string | undefined)[] = [],
): void {
  const found = inject('peers');
  const reasons = names.flatMap((name) => {
    const choice = found[name];
    return choice.mode === 'skip' ? [`${name}: ${choice.reason}`] : [];
  });
  reasons.push(...alsoNot.filter((reason) => reason !== undefined));
  if (reasons.length > 0) {
    describe.skip(`${title} [skipped: ${reasons.join('; ')}]`, () => body(neverStarts));
    return;
  }
  const modes = names.map((name) => `${name}: ${found[name].mode}`).join(', ');
  describe(`${title} [${modes}]`, () => {
    const started: Peer[] = [];
    afterEach((context) => {
      if (context.task.result?.state !== 'fail') return;
      for (const peer of started) process.stderr.write(`=== log of ${peer.name}\n${peer.log()}\n`);
    });
    afterAll(async () => {
      await Promise.all(started.splice(0).map((peer) => peer.stop()));
    });
    body(async (name, options) => {
      const { mode } = found[name];
      if (mode === 'skip') throw new Error(`${name} is not among the peers this describe asked for`);
      const peer = await startPeer(name, mode, options);
      started.push(peer);
      return peer;
    });
  });
}

const neverStarts: StartPeer = () => Promise.reject(new Error('skipped'));
