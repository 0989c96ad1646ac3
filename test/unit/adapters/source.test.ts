import { describe, expect, test } from 'vitest';
import { supervisedSource } from '../../../adapters/source.ts';
import { ManualClock } from '../../../lib/clock.ts';
import { defineError } from '../../../lib/errors.ts';
import type { Attempt } from '../../../lib/supervisor.ts';
import type { DiscoveryUpdate } from '../../../model/discovery.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

function start(open: (n: number) => Partial<Attempt<DiscoveryUpdate>>) {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const lines: string[] = [];
  const log = createLogger('info', { write: (line) => lines.push(line) });
  const stop = new AbortController();
  let tries = 0;
  const closed: number[] = [];
  const source = supervisedSource({
    source: 'one',
    kind: 'file',
    clock,
    metrics,
    log,
    open: () => {
      tries += 1;
      const n = tries;
      return {
        watch: (emit, signal) => {
          emit({ type: 'sync', groups: [] });
          return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
        },
        probe: () => Promise.resolve(),
        close: () => {
          closed.push(n);
        },
        ...open(n),
      };
    },
  });
  const advance = async (ms: number) => {
    await settle();
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(50);
      await settle();
    }
  };
  const messages = () => lines.map((line) => (JSON.parse(line) as { msg: string; cause?: string }).msg);
  return { source, clock, metrics, messages, stop, closed, advance };
}

describe('supervisedSource', () => {
  test('an outage is one stale with its cause, however long; then a sync', async () => {
    const t = start((n) => (n <= 4 ? { watch: () => Promise.reject(new Error('down')) } : {}));
    const seen: string[] = [];
    const reading = (async () => {
      for await (const update of t.source.discover(t.stop.signal)) {
        seen.push(update.type === 'stale' ? `stale: ${update.cause.message}` : update.type);
      }
    })();
    await t.advance(8_000);
    expect(seen).toEqual(['stale: down', 'sync']);
    expect(t.messages()).toEqual(['source does not answer yet', 'source is live']);
    await t.advance(5_000);
    expect(seen).toEqual(['stale: down', 'sync', 'alive']);
    const faults = (await t.metrics.source.faults.get()).values.map((v) => v.value);
    expect(faults).toEqual([1]);
    const errors = (await t.metrics.source.errors.get()).values;
    expect(errors).toEqual([{ labels: { source: 'one', code: 'other' }, value: 4 }]);
    const durations = (await t.metrics.source.duration.get()).values;
    const counts = durations.filter(({ metricName }) => metricName?.endsWith('_count'));
    expect(counts.map(({ labels, value }) => [labels.of, value])).toEqual([
      ['list', 1],
      ['probe', 1],
    ]);
    t.stop.abort();
    await reading;
    expect(t.clock.pending).toBe(0);
  });

  test.each([
    [Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [defineError('ISTHMUS_TEST', () => 'x')(), 'ISTHMUS_TEST'],
    [Object.assign(new Error('x'), { code: 14 }), 'other'],
    [Object.assign(new Error('x'), { code: 'of all kinds' }), 'other'],
  ])('%o is counted under %s', async (error, code) => {
    const t = start(() => ({ watch: () => Promise.reject(error) }));
    for await (const update of t.source.discover(t.stop.signal)) if (update.type === 'stale') break;
    expect((await t.metrics.source.errors.get()).values[0]?.labels).toEqual({ source: 'one', code });
  });

  test('a new cause of the same outage is told', async () => {
    const t = start((n) => ({ watch: () => Promise.reject(new Error(n === 1 ? 'refused' : 'HTTP 500')) }));
    const seen: string[] = [];
    const reading = (async () => {
      for await (const update of t.source.discover(t.stop.signal)) {
        if (update.type === 'stale') seen.push(update.cause.message);
      }
    })();
    await t.advance(4_000);
    expect(seen).toEqual(['refused', 'HTTP 500']);
    t.stop.abort();
    await reading;
  });

  test('a consumer that breaks out ends the watch', async () => {
    const t = start(() => ({}));
    for await (const update of t.source.discover(t.stop.signal)) {
      expect(update.type).toBe('sync');
      break;
    }
    expect([t.closed, t.clock.pending]).toEqual([[1], 0]);
  });

  test('two readers have a watch each', async () => {
    const t = start(() => ({}));
    for (let n = 0; n < 2; n += 1) {
      for await (const update of t.source.discover(t.stop.signal)) {
        expect(update.type).toBe('sync');
        break;
      }
    }
    expect(t.closed).toEqual([1, 2]);
  });
});
