// What every Discoverer promises (model/discovery.ts), tested the same way for each kind. A fixture brings
// the registry (fixture.ts); faults are in suite-faults.ts, what befalls a registry as a whole in
// suite-registry.ts.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { endpointKey } from '../../model/endpoint.ts';
import { watchLeaks } from '../support/leaks.ts';
import type { Fixture, RegistryFixture } from './fixture.ts';
import { A, B, C, Rig, stopsInTime } from './rig.ts';
import { faultTests } from './suite-faults.ts';
import { registryTests } from './suite-registry.ts';

export type { Fault, Fixture, Instance, RegistryFixture } from './fixture.ts';

/**
 * Call inside a describe; `fixture` is started once for all its tests.
 * @param other a second registry of the same kind: `fixture` then is tried as a whole, too.
 */
export function contract(fixture: Fixture): void;
export function contract(fixture: RegistryFixture, other: Fixture): void;
export function contract(fixture: Fixture | RegistryFixture, other?: Fixture): void {
  const rig = new Rig(fixture);
  beforeAll(() => fixture.start());
  afterAll(() => fixture.stop());
  afterEach(() => rig.stopAll());

  changeTests(rig);
  faultTests(rig);
  endTests(rig);
  // Last: nothing of what there was is there afterwards.
  if (other && 'startOver' in fixture) describe('as a whole', () => registryTests(rig, fixture, other));
}

function changeTests(rig: Rig): void {
  const { fixture } = rig;
  const [keyA, keyB] = [A, B].map((instance) => endpointKey({ ...instance, network: '' })) as [
    string,
    string,
  ];

  test('the first update is a sync that carries everything', async () => {
    const { listener, service } = await rig.known();
    expect(listener.first).toBe('sync');
    expect(listener.keys(service)).toEqual([keyA, keyB]);
  });

  test('an instance comes: one more endpoint, told as a group', async () => {
    const { name, listener, service } = await rig.known();
    await fixture.set(name, [A, B, C]);
    await rig.soon(() => listener.keys(service).length === 3);
    expect(new Set(listener.logOf(service))).toEqual(new Set(['group']));
  });

  test('an instance leaves: the others stay', async () => {
    const { name, listener, service } = await rig.known();
    await fixture.set(name, [B]);
    await rig.soon(() => listener.keys(service).length === 1);
    expect(listener.keys(service)).toEqual([keyB]);
    expect(listener.logOf(service)).not.toContain('gone');
  });

  test('an attribute changes: one group, never a removal', async () => {
    const { name, listener, service } = await rig.known();
    await fixture.set(name, [{ ...A, mark: '7' }, B]);
    await rig.soon(() => {
      const group = listener.groups.get(service);
      return group !== undefined && fixture.markOf(group, keyA) === '7';
    });
    expect(listener.logOf(service)).toEqual(['group']);
    expect(listener.fewest(service)).toBe(2);
  });

  test('the last instance leaves: it is told, not passed over', async () => {
    const { name, listener, service } = await rig.known();
    await fixture.set(name, []);
    await rig.soon(() => listener.keys(service).length === 0);
    // One instance may have gone before the other.
    expect(fixture.lastLeaves).toContain(listener.logOf(service).at(-1));
  });

  test('a new service comes, and comes back', async () => {
    const { listener } = await rig.known();
    const other = rig.newName();
    const service = fixture.serviceOf(other);
    for (const instances of [[A], [], [B, C]]) {
      await fixture.set(other, instances);
      await rig.soon(() => listener.keys(service).length === instances.length);
    }
  });

  test('equal content is equal over two listeners, whenever they came', async () => {
    const { name, listener, service } = await rig.known();
    await fixture.set(name, [C, B, { ...A, mark: '3' }]);
    await rig.soon(() => listener.keys(service).length === 3);
    const other = await rig.listen();
    await rig.soon(() => other.first === 'sync');
    await rig.soon(() => {
      expect(other.groups.get(service)).toEqual(listener.groups.get(service));
      return true;
    });
  });
}

function endTests(rig: Rig): void {
  test('abort ends it within a second and leaves no timer, socket or watcher', async () => {
    const noLeaks = watchLeaks();
    const { listener } = await rig.known();
    await stopsInTime(listener);
    await noLeaks();
  });

  test('a consumer that stops reading ends it too', async () => {
    const noLeaks = watchLeaks();
    const discoverer = await rig.fixture.discoverer();
    for await (const update of discoverer.discover(new AbortController().signal)) {
      if (update.type === 'sync') break;
    }
    await noLeaks();
  });
}
