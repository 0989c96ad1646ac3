import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../soak/random.ts';
import { plan } from '../../soak/schedule.ts';
import type { FaultName, Lane } from '../../soak/schedule.ts';

const FAULTS: readonly FaultName[] = [
  { name: 'killed', layer: 'server', writable: false },
  { name: 'cut', layer: 'network', writable: true },
  { name: 'slow', layer: 'network', writable: true },
  { name: 'revoked', layer: 'access', writable: true },
];
const lane: Lane = { kind: 'consul', services: ['orders', 'consul-a'], faults: FAULTS };
const seeds = fc.integer({ min: 0, max: 2 ** 31 });

describe('the schedule of a soak', () => {
  it('is the same for the same seed', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        expect(plan(seed, lane, 5)).toEqual(plan(seed, lane, 5));
      }),
      { numRuns: 20 },
    );
  });

  it('is another for another seed and another kind', () => {
    expect(plan(2, lane, 5)).not.toEqual(plan(1, lane, 5));
    expect(plan(1, { ...lane, kind: 'etcd' }, 5)).not.toEqual(plan(1, lane, 5));
  });

  it('fills the time, and keeps to what the lane has', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const steps = plan(seed, lane, 10);
        const totalMs = steps.reduce((sum, s) => sum + s.restMs + (s.type === 'fault' ? s.lastsMs : 0), 0);
        expect(totalMs).toBeGreaterThanOrEqual(10 * 60_000);
        for (const step of steps) {
          const changes = step.type === 'fault' ? step.during : step.changes;
          for (const { service } of changes) expect(lane.services).toContain(service);
          if (step.type !== 'fault') continue;
          const faults = step.faults.map((name) => FAULTS.find((fault) => fault.name === name));
          expect(faults).not.toContain(undefined);
          // Two in one layer would undo each other.
          expect(new Set(faults.map((fault) => fault?.layer)).size).toBe(faults.length);
          if (faults.some((fault) => fault?.writable === false)) expect(step.during).toEqual([]);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('never lists an address twice', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        for (const step of plan(seed, lane, 5)) {
          for (const { instances } of step.type === 'fault' ? step.during : step.changes) {
            expect(new Set(instances.map(({ address }) => address)).size).toBe(instances.length);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it('has faults of each kind and changes within half an hour', () => {
    const steps = plan(1, lane, 30);
    const names = new Set(steps.flatMap((step) => (step.type === 'fault' ? step.faults : ['changes'])));
    expect([...names].sort()).toEqual(['changes', 'cut', 'killed', 'revoked', 'slow']);
    expect(steps.some((step) => step.type === 'fault' && step.faults.length === 2)).toBe(true);
  });
});

describe('chance', () => {
  it('keeps within its bounds', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: -50, max: 50 }), fc.nat(50), (seed, low, more) => {
        const random = new Random(seed);
        for (let i = 0; i < 50; i += 1) {
          const drawn = random.between(low, low + more);
          expect(drawn).toBeGreaterThanOrEqual(low);
          expect(drawn).toBeLessThanOrEqual(low + more);
          const share = random.next();
          expect(share).toBeGreaterThanOrEqual(0);
          expect(share).toBeLessThan(1);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('is even enough', () => {
    const random = Random.named(7, 'dice');
    const counts = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < 6_000; i += 1) {
      const side = random.between(0, 5);
      counts[side] = (counts[side] ?? 0) + 1;
    }
    for (const count of counts) expect(count).toBeGreaterThan(500);
  });
});
