// What every Discoverer promises (model/discovery.ts), tested the same way for each kind. A fixture brings
// a registry, the changes that can be made in it, and the faults that can befall it.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Discoverer } from '../../model/discovery.ts';
import { endpointKey } from '../../model/endpoint.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { eventually } from '../support/eventually.ts';
import { watchLeaks } from '../support/leaks.ts';
import { Listener } from './listener.ts';

export interface Instance {
  readonly address: string;
  readonly port: number;
  /** An attribute that the registry can change without taking the instance out. Default '1'. */
  readonly mark?: string;
}

/** Something that goes wrong with the registry; `end` mends it, and everything it knew is still there. */
export interface Fault {
  readonly name: string;
  begin(): Promise<void>;
  end(): Promise<void>;
}

export interface Fixture {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** A new Discoverer on this registry, with timings short enough for tests. */
  discoverer(): Promise<Discoverer>;
  /** The registry now offers exactly these instances of the service; none: the last one leaves. */
  set(name: string, instances: readonly Instance[]): Promise<void>;
  /** The canonical name under which `name` appears. */
  serviceOf(name: string): string;
  /** How `mark` shows in an endpoint. */
  markOf(group: EndpointGroup, key: string): string;
  readonly faults: readonly Fault[];
  /** What the last instance's leaving looks like. */
  readonly lastLeaves: readonly ('group' | 'gone')[];
  /** A stale source must say so within this many milliseconds of the fault. */
  readonly staleWithinMs: number;
  /** Any change, and the return after a fault, must arrive within this many milliseconds. */
  readonly changeWithinMs: number;
}

const A: Instance = { address: '10.1.0.1', port: 8080 };
const B: Instance = { address: '10.1.0.2', port: 8080 };
const C: Instance = { address: '10.1.0.3', port: 9090 };

/** Call inside a describe; `fixture` is started once for all its tests. */
export function contract(fixture: Fixture): void {
  const listeners: Listener[] = [];
  let count = 0;
  const listen = async (): Promise<Listener> => {
    const listener = new Listener(await fixture.discoverer());
    listeners.push(listener);
    return listener;
  };
  /** A service that no other test uses, with two instances, and a listener that knows it. */
  const known = async () => {
    const name = newName();
    await fixture.set(name, [A, B]);
    const listener = await listen();
    await soon(() => listener.first === 'sync' && listener.keys(fixture.serviceOf(name)).length === 2);
    listener.forgetLog();
    return { name, service: fixture.serviceOf(name), listener };
  };
  const newName = () => {
    count += 1;
    return `svc-${count}`;
  };
  const soon = <T>(check: () => T) => eventually(check, { withinMs: fixture.changeWithinMs, everyMs: 10 });

  beforeAll(() => fixture.start());
  afterAll(() => fixture.stop());
  afterEach(async () => {
    await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
  });

  test('the first update is a sync that carries everything', async () => {
    const { listener, service } = await known();
    expect(listener.first).toBe('sync');
    expect(listener.keys(service)).toEqual([
      endpointKey({ ...A, network: '' }),
      endpointKey({ ...B, network: '' }),
    ]);
  });

  test('an instance comes: one more endpoint, told as a group', async () => {
    const { name, listener, service } = await known();
    await fixture.set(name, [A, B, C]);
    await soon(() => listener.keys(service).length === 3);
    expect(new Set(listener.logOf(service))).toEqual(new Set(['group']));
  });

  test('an instance leaves: the others stay', async () => {
    const { name, listener, service } = await known();
    await fixture.set(name, [B]);
    await soon(() => listener.keys(service).length === 1);
    expect(listener.keys(service)).toEqual([endpointKey({ ...B, network: '' })]);
    expect(listener.logOf(service)).not.toContain('gone');
  });

  test('an attribute changes: one group, never a removal', async () => {
    const { name, listener, service } = await known();
    const key = endpointKey({ ...A, network: '' });
    await fixture.set(name, [{ ...A, mark: '7' }, B]);
    await soon(() => {
      const group = listener.groups.get(service);
      return group !== undefined && fixture.markOf(group, key) === '7';
    });
    expect(listener.logOf(service)).toEqual(['group']);
    expect(listener.fewest(service)).toBe(2);
  });

  test('the last instance leaves: it is told, not passed over', async () => {
    const { name, listener, service } = await known();
    await fixture.set(name, []);
    await soon(() => listener.keys(service).length === 0);
    expect(fixture.lastLeaves).toContain(listener.logOf(service)[0]);
  });

  test('a new service comes, and comes back', async () => {
    const { listener } = await known();
    const other = newName();
    const service = fixture.serviceOf(other);
    for (const instances of [[A], [], [B, C]]) {
      await fixture.set(other, instances);
      await soon(() => listener.keys(service).length === instances.length);
    }
  });

  test('equal content is equal over two listeners, whenever they came', async () => {
    const { name, listener, service } = await known();
    await fixture.set(name, [C, B, { ...A, mark: '3' }]);
    await soon(() => listener.keys(service).length === 3);
    const other = await listen();
    await soon(() => other.first === 'sync');
    await soon(() => {
      expect(other.groups.get(service)).toEqual(listener.groups.get(service));
      return true;
    });
  });

  describe.each(fixture.faults)('$name', (fault) => {
    test('is told as stale, takes nothing away, and ends with a sync of the same content', async () => {
      const { name, listener, service } = await known();
      const before = listener.groups.get(service);
      try {
        await fault.begin();
        await eventually(() => listener.stale !== undefined, {
          withinMs: fixture.staleWithinMs,
          everyMs: 10,
        });
        expect(listener.stale?.message).not.toBe('');
        expect(listener.groups.get(service)).toEqual(before);
      } finally {
        await fault.end();
      }
      await soon(() => listener.stale === undefined);
      expect(listener.logOf(service)).not.toContain('gone');
      expect(listener.groups.get(service)).toEqual(before);
      expect(listener.fewest(service)).toBe(2);
      // It still listens.
      await fixture.set(name, [A, B, C]);
      await soon(() => listener.keys(service).length === 3);
    });

    test('from the start: no sync until it is over', async () => {
      const { name, service, listener: first } = await known();
      await first.stop();
      let late: Listener;
      try {
        await fault.begin();
        late = await listen();
        await eventually(() => late.stale !== undefined, { withinMs: fixture.staleWithinMs, everyMs: 10 });
        expect(late.log).not.toContain('sync');
        const began = performance.now();
        await late.stop();
        expect(performance.now() - began).toBeLessThan(1_000);
        late = await listen();
      } finally {
        await fault.end();
      }
      await soon(() => late.keys(service).length === 2);
      await fixture.set(name, []);
    });
  });

  test('abort ends it within a second and leaves no timer, socket or watcher', async () => {
    const noLeaks = watchLeaks();
    const { listener } = await known();
    const began = performance.now();
    await listener.stop();
    expect(performance.now() - began).toBeLessThan(1_000);
    await noLeaks();
  });

  test('a consumer that stops reading ends it too', async () => {
    const noLeaks = watchLeaks();
    const discoverer = await fixture.discoverer();
    for await (const update of discoverer.discover(new AbortController().signal)) {
      if (update.type === 'sync') break;
    }
    await noLeaks();
  });
}
