// A whole migration on true servers: from a Consul to a kube-apiserver, under 200 requests a second through an Envoy and
// the bundled proxy at once. No request fails, and each step's share is what was wanted, by the callers' own counts and
// by what data planes report.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { SOON, startMigrationWorld } from '../support/migration-world.ts';
import type { MigrationWorld } from '../support/migration-world.ts';
import { noPodNetwork } from '../support/netns.ts';

const STEP_MS = 400_000;
/** Of the traffic; what the measured share of a step may be off. */
const OFF = 0.02;
const LEAST = 2_000;

describePeers(
  ['consul', 'kubernetes', 'envoy'],
  'a migration from Consul to Kubernetes',
  (start) => {
    let world: MigrationWorld;

    beforeAll(async () => {
      world = await startMigrationWorld(start);
      const gates = {
        successRate: { minPercent: 99.5, window: '1m', minRequests: 100, onMissing: 'mirror' },
        identity: 'proven',
      };
      const mirror = { percent: 20, for: '3s' };
      // Approved when enough was counted: how fast a machine counts must not matter.
      const steps = [1, 10, 50, 100].map((percent) => ({ percent, for: '2s', approval: 'manual' }));
      await world.apply({ gates, mirror, steps });
      await world.call();
    }, STEP_MS);
    afterAll(() => world?.stop(), STEP_MS);

    it('ends at 100 % with no request lost, and each share as wanted', { timeout: STEP_MS }, async () => {
      for (const [index, wanted] of [0.01, 0.1, 0.5, 1].entries()) {
        const step = index + 1;
        await world.became((now) => now.step === step, `step ${step}`);
        const { all, share } = await world.count(LEAST);
        expect(all).toBeGreaterThanOrEqual(LEAST);
        expect(Math.abs(share - wanted), `step ${step}: ${share} of ${all}`).toBeLessThan(OFF);
        const { measured } = await world.became(
          (now) =>
            now.phase === 'awaitingApproval' &&
            (now.measured?.fromRequests ?? 0) + (now.measured?.toRequests ?? 0) >= LEAST,
          `${LEAST} requests of step ${step} to be reported`,
        );
        expect(Math.abs((measured?.share ?? -1) - wanted)).toBeLessThan(OFF);
        expect(measured).toMatchObject({ fromErrors: 0, toErrors: 0 });
        await world.run(['migrate', 'approve', 'orders']);
      }
      await world.became(({ phase }) => phase === 'completed', 'its end');
      expect((await world.count(400)).share).toBe(1);
      expect(world.failures()).toEqual([]);
      const history = await world.ask(['history', 'orders']);
      for (const line of [
        '→ mirroring: copies of 20 %',
        'mirroring → stepping, 0 % → 1 %: step 1 of 4',
        '1 % → 10 %: step 2 of 4',
        '10 % → 50 %: step 3 of 4',
        '50 % → 100 %: step 4 of 4',
      ]) {
        expect(history).toContain(line);
      }
    });

    it('goes all the way by itself, and back at a word', { timeout: STEP_MS }, async () => {
      await world.run(['migrate', 'rollback', 'orders', '--reason', 'once more']);
      await world.became(({ phase }) => phase === 'rolledBack', 'the way back');
      expect((await world.count(200)).share).toBe(0);
      const gates = { successRate: { minPercent: 99.5, window: '10s', minRequests: 50 } };
      await world.apply({ gates, steps: [25, 75, 100].map((percent) => ({ percent, for: '1s' })) });
      await world.run(['migrate', 'resume', 'orders']);
      await world.ask(['migrate', 'status', 'orders', '-w']);
      expect(await world.status()).toMatchObject({ phase: 'completed', share: 1, attempt: 2 });
      await eventually(async () => (await world.count(200)).share === 1, SOON);
      expect(world.failures()).toEqual([]);
    });
  },
  [noPodNetwork()],
);
