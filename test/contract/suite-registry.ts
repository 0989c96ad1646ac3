// What befalls a registry as a whole: many changes, another one that is dark, a start without anything that
// it knew. What it then says is the truth; keeping a catalogue from sudden emptiness is not a source's job.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endpointKey } from '../../model/endpoint.ts';
import { eventually } from '../support/eventually.ts';
import type { Fixture, Instance, RegistryFixture } from './fixture.ts';
import { Listener } from './listener.ts';
import { A, B, C, LONG, LONG_TEST_MS } from './rig.ts';
import type { Rig } from './rig.ts';

const CHANGES_PER_S = 50;
const BUSY_S = LONG ? 30 : 3;
/** A service is told ten times a second at most (adapters/source.ts), and once more at the end. */
const TOLD_PER_S = 10;

const keyOf = (instance: Instance) => endpointKey({ ...instance, network: '' });

export function registryTests(rig: Rig, registry: RegistryFixture, other: Fixture): void {
  test(
    `${CHANGES_PER_S} changes a second for ${BUSY_S} s: the end is the registry's, told in fewer words`,
    async () => {
      const [one, two] = [await rig.known(), await rig.known()];
      const { listener } = two;
      await rig.soon(() => listener.keys(one.service).length === 2);
      listener.forgetLog();
      const began = performance.now();
      const changes = CHANGES_PER_S * BUSY_S;
      const last = new Map<string, readonly Instance[]>();
      for (let n = 0; n < changes; n += 1) {
        const { name, service } = n % 2 === 0 ? one : two;
        const instances = n % 10 > 7 ? [A] : [A, { ...B, mark: String(2 + (n % 90)) }];
        await registry.set(name, instances);
        last.set(service, instances);
        const due = ((n + 1) * 1_000) / CHANGES_PER_S;
        await eventually(() => performance.now() - began >= due, { everyMs: 2 });
      }
      await rig.soon(() => {
        for (const [service, instances] of last) {
          expect(listener.keys(service)).toEqual(instances.map(keyOf));
          const [group, b] = [listener.groups.get(service), instances[1]];
          if (b) expect(group && registry.markOf(group, keyOf(b))).toBe(b.mark);
        }
        return true;
      });
      const seconds = (performance.now() - began) / 1_000;
      const told = [...last.keys()].flatMap((service) => listener.logOf(service));
      expect(told.length).toBeLessThanOrEqual(Math.ceil(2 * (1.1 * TOLD_PER_S * seconds + 2)));
      expect(new Set(told)).toEqual(new Set(['group']));
    },
    LONG_TEST_MS,
  );

  twoRegistries(rig, registry, other);

  test(
    'it starts over, empty: that is what is told, and so is what comes then',
    async () => {
      const { listener, service } = await rig.known();
      await registry.startOver();
      if (registry.emptyIs === 'empty') {
        await rig.soon(() => listener.stale === undefined && servicesOf(listener).length === 0);
      } else {
        await rig.untilStale(listener);
        expect(listener.keys(service)).toHaveLength(2);
      }
      const later = rig.newName();
      await registry.set(later, [C]);
      await rig.soon(() => listener.stale === undefined && servicesOf(listener).length === 1);
      expect(listener.keys(registry.serviceOf(later))).toEqual([keyOf(C)]);
    },
    LONG_TEST_MS,
  );

  test(
    'it starts over, with other data: that is what is told',
    async () => {
      const { name, listener, service } = await rig.known();
      await registry.startOver();
      const others = rig.newName();
      await registry.set(others, [A]);
      await registry.set(name, [{ ...B, mark: '4' }, C]);
      await rig.soon(() => listener.keys(registry.serviceOf(others)).length === 1);
      await rig.soon(() => listener.stale === undefined && listener.keys(service).length === 2);
      await rig.soon(() => listener.keys(service).join() === [B, C].map(keyOf).join());
      const group = listener.groups.get(service);
      expect(group && registry.markOf(group, keyOf(B))).toBe('4');
      expect(servicesOf(listener)).toHaveLength(2);
    },
    LONG_TEST_MS,
  );
}

/** Those of the tests that offer something: a registry may have services of its own. */
function servicesOf(listener: Listener): string[] {
  return [...listener.groups.values()]
    .filter(({ service, endpoints }) => service.startsWith('svc-') && endpoints.length > 0)
    .map(({ service }) => service);
}

function twoRegistries(rig: Rig, registry: RegistryFixture, other: Fixture): void {
  beforeAll(() => other.start());
  afterAll(() => other.stop());

  test(
    'two of them, one dark: the other is not touched',
    async () => {
      const { listener: dark, service } = await rig.known();
      const [fault] = registry.faults;
      if (!fault) throw new Error('a registry without faults');
      const bright = new Listener(await other.discoverer());
      const name = rig.newName();
      await other.set(name, [A]);
      await rig.soon(() => bright.keys(other.serviceOf(name)).length === 1);
      try {
        await fault.begin();
        await rig.untilStale(dark);
        await other.set(name, [A, B]);
        await rig.soon(() => bright.keys(other.serviceOf(name)).length === 2);
        expect(bright.log).not.toContain('stale');
        expect(dark.keys(service)).toHaveLength(2);
      } finally {
        await fault.end();
      }
      await rig.soon(() => dark.stale === undefined);
      await bright.stop();
    },
    LONG_TEST_MS,
  );
}
