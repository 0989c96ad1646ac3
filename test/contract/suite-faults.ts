// Every fault is told as stale, takes nothing away, and ends with the truth; a source can be ended in the
// middle of each.
import { describe, expect, test } from 'vitest';
import { describeError } from '../../lib/errors.ts';
import { eventually } from '../support/eventually.ts';
import { watchLeaks } from '../support/leaks.ts';
import { BUSY } from './fixtures/faulty-proxy.ts';
import type { Asked, FaultyProxy } from './fixtures/faulty-proxy.ts';
import type { TcpProxy } from './fixtures/tcp-proxy.ts';
import type { Listener } from './listener.ts';
import { A, B, C, LONG, LONG_TEST_MS, stopsInTime } from './rig.ts';
import type { Rig } from './rig.ts';

export function faultTests(rig: Rig): void {
  const { fixture } = rig;

  describe.each(fixture.faults)('$name', (fault) => {
    test(
      'is told as stale, takes nothing away, and ends with a sync of the same content',
      async () => {
        const { name, listener, service } = await rig.known();
        const before = listener.groups.get(service);
        const began = performance.now();
        try {
          await fault.begin();
          await rig.untilStale(listener);
          expect(listener.stale?.message).not.toBe('');
          const lastsMs = LONG ? (fault.longMs ?? 0) : 0;
          await eventually(() => performance.now() - began >= lastsMs, { withinMs: lastsMs + 10_000 });
          expect(listener.groups.get(service)).toEqual(before);
        } finally {
          await fault.end();
        }
        await rig.soon(() => listener.stale === undefined);
        expect(listener.logOf(service)).not.toContain('gone');
        expect(listener.groups.get(service)).toEqual(before);
        // The change may have been told at once, with nothing before it.
        expect(listener.fewest(service)).toBeGreaterThanOrEqual(2);
        // It still listens.
        await fixture.set(name, [A, B, C]);
        await rig.soon(() => listener.keys(service).length === 3);
      },
      LONG_TEST_MS,
    );

    test(
      'can be ended in its middle; from the start: no sync until it is over',
      async () => {
        const noLeaks = watchLeaks();
        const { name, service, listener: first } = await rig.known();
        let late: Listener;
        try {
          await fault.begin();
          await rig.untilStale(first);
          await stopsInTime(first);
          await noLeaks();
          late = await rig.listen();
          await rig.untilStale(late);
          expect(late.log).not.toContain('sync');
          await stopsInTime(late);
          await noLeaks();
          late = await rig.listen();
        } finally {
          await fault.end();
        }
        await rig.soon(() => late.keys(service).length === 2);
        await fixture.set(name, []);
      },
      LONG_TEST_MS,
    );
  });

  if (fixture.wire) wireTests(rig, fixture.wire);
  if (fixture.http) busyTest(rig, fixture.http);
}

function wireTests(rig: Rig, wire: () => TcpProxy): void {
  const { fixture } = rig;

  test.each([2, 30, 150, 400])(
    'connections cut %i bytes into what comes next: nothing is lost, and the change arrives',
    async (bytes) => {
      const { name, listener, service } = await rig.known();
      wire().cutNext(bytes);
      await fixture.set(name, [A, { ...B, mark: '5' }, C]);
      await rig.soon(() => listener.keys(service).length === 3);
      await rig.soon(() => listener.stale === undefined);
      expect(listener.logOf(service)).not.toContain('gone');
      // The change may have been told at once, with nothing before it.
      expect(listener.fewest(service)).toBeGreaterThanOrEqual(2);
    },
  );

  test('what changed while it was cut off is told when it is back', async () => {
    const { name, listener, service } = await rig.known();
    const [gone, came] = [await rig.known(), rig.newName()];
    const fault = wire().fault('cut off', { type: 'refuse' });
    try {
      await fault.begin();
      await rig.untilStale(listener);
      await fixture.set(name, [{ ...B, mark: '9' }, C]);
      await fixture.set(gone.name, []);
      await fixture.set(came, [A]);
    } finally {
      await fault.end();
    }
    await rig.soon(() => listener.stale === undefined && listener.keys(fixture.serviceOf(came)).length === 1);
    expect(listener.keys(service)).toEqual([`${B.address}:${B.port}`, `${C.address}:${C.port}`]);
    const group = listener.groups.get(service);
    expect(group && fixture.markOf(group, `${B.address}:${B.port}`)).toBe('9');
    expect(listener.keys(gone.service)).toEqual([]);
  });
}

function busyTest(rig: Rig, http: () => FaultyProxy): void {
  test(
    'told to come again in a second (429): no question comes sooner, and in the end it is stale',
    async () => {
      const { listener, service } = await rig.known();
      const proxy = http();
      const fault = proxy.fault('busy', BUSY);
      await fault.begin();
      try {
        // Because connections end at first. What is asked a moment later has all been told to wait.
        await rig.untilStale(listener);
        const from = performance.now() + 500;
        const counts = ({ url, at }: Asked) => at >= from && rig.fixture.isProbe?.(url) !== true;
        const gaps = () => gapsOf(proxy.asked.filter(counts));
        await eventually(() => gaps().length > 0, { withinMs: 40_000 });
        await eventually(() => describeError(listener.stale).includes('429'), { withinMs: 40_000 });
        expect(listener.keys(service)).toHaveLength(2);
        // Timers may be early by a moment.
        expect(Math.min(...gaps())).toBeGreaterThan(950);
      } finally {
        await fault.end();
      }
      await rig.soon(() => listener.stale === undefined);
    },
    LONG_TEST_MS,
  );
}

/** Milliseconds from each question to the next one about the same thing. */
function gapsOf(asked: readonly Asked[]): number[] {
  const last = new Map<string, number>();
  return asked.flatMap(({ url, at }) => {
    const { pathname } = new URL(url, 'http://any');
    const before = last.get(pathname);
    last.set(pathname, at);
    return before === undefined ? [] : [at - before];
  });
}
