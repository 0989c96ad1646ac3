// What may fail while a service moves from a Consul to a kube-apiserver, each at a step, under load through an Envoy and
// the bundled proxy: what comes of it is what docs/migration.md says, with its numbers in `status` and in `history`.
// In a short run each fault meets one step; with ISTHMUS_LONG=1 it meets all.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { MigrationJson } from '../../admin/types-migration.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { SOON, calm, startMigrationWorld } from '../support/migration-world.ts';
import type { MigrationWorld } from '../support/migration-world.ts';
import { noPodNetwork } from '../support/netns.ts';

const LONG = process.env['ISTHMUS_LONG'] === '1';
const STEP_MS = 600_000;
const SUCCESS = { successRate: { minPercent: 99, window: '10s', minRequests: 40 } };
/** Of the pods' traffic, in percent: what the step before gave, and this one gives. */
const STEPS = [10, 50, 100] as const;

interface Fault {
  readonly what: string;
  /** In a short run. */
  readonly at: (typeof STEPS)[number];
  readonly gates?: object;
  readonly retry?: object;
  /** A step before this one, for what must be known of the old side. */
  readonly before?: object;
  begin(world: MigrationWorld): Promise<void> | void;
  end(world: MigrationWorld): Promise<void> | void;
}

/** One that takes everything back. */
interface Loss extends Fault {
  /** What decided, as it is told. */
  readonly reason: RegExp;
  /** Requests that may fail, as callers see them. */
  readonly mayFail?: RegExp;
}

/** One during which nothing goes forward, and nothing back. */
interface Stop extends Fault {
  readonly waitsFor: RegExp;
}

const LOSSES: readonly Loss[] = [
  {
    what: 'pods that fail at 5 %',
    at: 50,
    begin: ({ pods }) => void (pods.failEvery = 20),
    end: ({ pods }) => void (pods.failEvery = 0),
    reason: /^successRate: k8s \d\d\.\d\d % of \d+ requests \([1-9]\d* failed\) in 10 s, wanted 99 %/,
    mayFail: /^\S+ HTTP 500/,
  },
  {
    what: 'pods that become half as slow again',
    at: 100,
    gates: { latencyP99: { maxRatioToSource: 1.25, window: '10s' } },
    before: { percent: 40, for: '5s' },
    // A machine that has other things to do is slow by itself.
    retry: { max: 9, coolDown: '5s' },
    begin: ({ pods }) => void (pods.delayMs *= 1.5),
    end: ({ vms, pods }) => void (vms.delayMs = pods.delayMs = 0),
    reason: /^latencyP99: p99 of k8s is [\d.]+ ms, [\d.]+ of the [\d.]+ ms of consul-dc1/,
  },
  {
    what: 'pods of another service at the addresses',
    at: 10,
    begin: ({ pods }) => void (pods.service = 'carts.default'),
    end: ({ pods }) => void Object.assign(pods, calm()),
    // Tried elsewhere, which may be another one of them.
    mayFail: /^\S+ HTTP 421/,
    reason: /identity: [123] of k8s: 10\.244\.0\.\d+:\d+ answers as carts\.default/,
  },
  {
    what: 'pods scaled to zero',
    at: 50,
    begin: (world) => world.scale(0),
    end: (world) => world.scale(3),
    reason: /^readyCapacity: k8s has 0 ready of [\d.]+ for \d+ %, wanted 0\.8 of that/,
  },
];

const STOPS: readonly Stop[] = [
  {
    what: 'Kubernetes dark',
    at: 10,
    begin: ({ kube }) => kube.kill(),
    end: ({ kube }) => kube.restart(),
    waitsFor: /source k8s: stale/,
  },
  {
    what: 'Consul dark',
    at: 50,
    begin: ({ consul }) => consul.kill(),
    end: ({ consul }) => consul.restart(),
    waitsFor: /source consul-dc1: stale/,
  },
  {
    what: 'nobody calls',
    at: 50,
    begin: (world) => world.hush(),
    end: (world) => world.call(),
    waitsFor: /not enough traffic: \d+ of 40 requests to k8s in 10 s/,
  },
];

describePeers(
  ['consul', 'kubernetes', 'envoy'],
  'faults of a migration',
  (start) => {
    let world: MigrationWorld;

    beforeAll(async () => {
      world = await startMigrationWorld(start);
      await world.apply({ steps: [{ percent: 100 }], freeze: [{ from: '00:00', to: '24:00' }] });
      await world.became(({ phase }) => phase === 'waiting', 'its first word');
      await world.call();
    }, STEP_MS);
    afterAll(() => world?.stop(), STEP_MS);

    /** Begins anew, and gets to the step. */
    async function reach(
      { gates = {}, retry = {}, before }: Fault,
      percent: number,
      how: object,
    ): Promise<MigrationJson> {
      // Whatever the test before left.
      Object.assign(world.pods, { ...calm(), delayMs: world.vms.delayMs });
      await eventually(async () => {
        const [consul, k8s] = await Promise.all(['consul-dc1', 'k8s'].map((name) => world.source(name)));
        return consul?.state === 'live' && k8s?.state === 'live' && k8s.endpoints >= 3;
      }, SOON);
      const { phase: left } = await world.status();
      if (!['waiting', 'aborted'].includes(left)) await world.run(['migrate', 'abort', 'orders']);
      const steps = [
        ...(before ? [before] : []),
        { percent, ...how },
        ...(percent === 100 ? [] : [{ percent: 100 }]),
      ];
      await world.apply({ gates: { ...SUCCESS, ...gates }, retry, steps });
      if ((await world.status()).phase === 'aborted') await world.run(['migrate', 'resume', 'orders']);
      const there = await world.became(
        ({ step, share }) => step === (before ? 2 : 1) && share === percent / 100,
        `${percent} %`,
      );
      await eventually(async () => Math.abs((await world.count(200)).share - percent / 100) < 0.1, SOON);
      return there;
    }

    async function giveUp(): Promise<void> {
      await world.run(['migrate', 'abort', 'orders']);
      await eventually(async () => (await world.count(100)).share === 0, SOON);
    }

    for (const loss of LOSSES) {
      for (const percent of LONG ? STEPS : [loss.at]) {
        it(`${loss.what}, at ${percent} %: everything goes back`, { timeout: STEP_MS }, async () => {
          const isSlow = loss.gates !== undefined;
          world.vms.delayMs = world.pods.delayMs = isSlow ? 100 : 0;
          const { before: _, ...rest } = loss;
          const isLast = percent === 100;
          await reach(isLast ? loss : rest, percent, { for: '600s' });
          world.failures();
          await loss.begin(world);
          const back = await world.became(({ phase }) => phase === 'rolledBack', 'the rollback');
          expect(back).toMatchObject({ share: 0, by: '', attempt: expect.any(Number) });
          expect(back.reason).toMatch(loss.reason);
          expect(back.decidedBy.some(({ verdict }) => verdict === 'fail')).toBe(true);
          await eventually(async () => (await world.count(200)).share === 0, SOON);
          for (const failure of world.failures()) expect(failure).toMatch(loss.mayFail ?? /never/);
          const past = await world.ask(['history', 'orders']);
          expect(past).toContain(`stepping → rollingBack, ${percent} % → 0 %: ${back.reason}`);
          expect(await world.ask(['migrate', 'status', 'orders'])).toContain(back.reason);
          await loss.end(world);
          await giveUp();
        });
      }
    }

    for (const stop of STOPS) {
      for (const percent of LONG ? STEPS : [stop.at]) {
        it(`${stop.what}, at ${percent} %: the share stays`, { timeout: STEP_MS }, async () => {
          await reach(stop, percent, { for: '1s', approval: 'manual' });
          await world.became(({ phase }) => phase === 'awaitingApproval', 'its gates to hold');
          world.failures();
          await stop.begin(world);
          await world.became(
            ({ gates, waitsFor }) =>
              stop.waitsFor.test([waitsFor, ...gates.map(({ text }) => text)].join('; ')),
            'it to be known',
          );
          await world.run(['migrate', 'approve', 'orders']);
          const now = await world.became(({ waitsFor }) => stop.waitsFor.test(waitsFor), 'it to wait');
          expect(now).toMatchObject({ phase: 'stepping', share: percent / 100 });
          await stop.end(world);
          const end = await world.became(({ phase }) => phase === 'completed', 'its end');
          expect(end).toMatchObject({ share: 1, attempt: now.attempt });
          expect(world.failures()).toEqual([]);
          await world.run(['migrate', 'rollback', 'orders']);
          await world.became(({ phase }) => phase === 'rolledBack', 'the way back');
          await giveUp();
        });
      }
    }

    for (const percent of LONG ? STEPS : [50]) {
      it(`the control plane killed at ${percent} %: goes on from there`, { timeout: STEP_MS }, async () => {
        const fault: Fault = { what: '', at: 50, begin: () => undefined, end: () => undefined };
        const before = await reach(fault, percent, { for: '600s' });
        world.failures();
        const [control] = world.controls;
        await control?.kill();
        const during = await world.count(400);
        expect(Math.abs(during.share - percent / 100)).toBeLessThan(0.05);
        await control?.restart();
        const after = await world.status();
        const { step, share, since, attempt } = before;
        expect(after).toMatchObject({ phase: 'stepping', step, share, since, attempt });
        expect(Math.abs((await world.count(400)).share - percent / 100)).toBeLessThan(0.05);
        expect(world.failures()).toEqual([]);
        // Nor is a failure lost: what it meets after its restart takes everything back.
        world.pods.failEvery = 20;
        const back = await world.became(({ phase }) => phase === 'rolledBack', 'the rollback');
        expect(back.reason).toMatch(LOSSES[0]?.reason ?? /never/);
        const past = await world.ask(['history', 'orders']);
        expect(past.match(new RegExp(`→ ${percent} %: step`, 'g'))?.length).toBeGreaterThan(0);
        world.pods.failEvery = 0;
        await giveUp();
      });
    }
  },
  [noPodNetwork()],
);

/** Which of the two steps, and the other one. */
async function roles(world: MigrationWorld) {
  const said = await Promise.all(world.controls.map((control) => world.status(control)));
  const at = said.findIndex(({ controller }) => controller === '');
  const [leader, other] = [world.controls[at], world.controls[1 - at]];
  return at >= 0 && leader && other ? { leader, other } : undefined;
}

describePeers(
  ['consul', 'kubernetes', 'envoy', 'nats'],
  'faults of a migration under two replicas',
  (start) => {
    let world: MigrationWorld;

    beforeAll(async () => {
      world = await startMigrationWorld(start, { replicas: true });
      await world.apply({ steps: [{ percent: 100 }], freeze: [{ from: '00:00', to: '24:00' }] });
      await world.became(({ phase }) => phase === 'waiting', 'its first word');
      await world.call();
    }, STEP_MS);
    afterAll(() => world?.stop(), STEP_MS);

    for (const percent of STEPS) {
      it(`moved to another replica, and without NATS, at ${percent} %`, { timeout: STEP_MS }, async () => {
        const steps = [
          { percent, for: '1s', approval: 'manual' },
          ...(percent === 100 ? [] : [{ percent: 100 }]),
        ];
        await world.apply({ gates: SUCCESS, steps });
        const { phase: left } = await world.status();
        if (left === 'aborted') await world.run(['migrate', 'resume', 'orders']);
        const before = await world.became(({ phase }) => phase === 'awaitingApproval', `${percent} %`);
        const { leader, other } = await eventually(() => roles(world), SOON);
        await leader.kill();
        await eventually(async () => (await world.status(other)).controller === '', SOON);
        const { step, share, attempt } = before;
        expect(await world.status(other)).toMatchObject({ phase: 'awaitingApproval', step, share, attempt });
        expect(Math.abs((await world.count(400)).share - percent / 100)).toBeLessThan(0.05);
        await leader.restart();

        await world.nats?.kill();
        await eventually(async () => {
          const said = await world.run(['migrate', 'approve', 'orders'], other).catch(String);
          return said.includes('NATS does not answer');
        }, SOON);
        // Nor does a failure move anything: what only one knows is two shares.
        expect(await world.status(other)).toMatchObject({ phase: 'awaitingApproval', share });
        expect(Math.abs((await world.count(400)).share - percent / 100)).toBeLessThan(0.05);
        await world.nats?.restart();
        await eventually(async () => {
          await world.run(['migrate', 'approve', 'orders'], other).catch(() => undefined);
          return (await world.status(other)).phase === 'completed';
        }, SOON);
        expect(await world.status(other)).toMatchObject({ share: 1, attempt });
        expect(world.failures()).toEqual([]);
        const past = await world.ask(['history', 'orders'], other);
        expect(past).toContain('→ completed');
        await world.run(['migrate', 'rollback', 'orders'], other);
        await world.became(({ phase }) => phase === 'rolledBack', 'the way back');
        await world.run(['migrate', 'abort', 'orders'], other);
      });
    }
  },
  // In a short run: migration-replicas.test.ts.
  [noPodNetwork(), LONG ? undefined : 'only with ISTHMUS_LONG=1'],
);
