// The prober against real listeners: whom it pings, what it tells, and what it leaves behind.
import { afterEach, describe, expect, it } from 'vitest';
import { runProber } from '../../../../adapters/probe/prober.ts';
import type { ProbeSettings } from '../../../../adapters/probe/prober.ts';
import { systemClock } from '../../../../lib/clock.ts';
import type { Clock } from '../../../../lib/clock.ts';
import { endpointKey } from '../../../../model/endpoint.ts';
import type { Pinger, Suspect, Verdict } from '../../../../model/ping.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { createMetrics } from '../../../../telemetry/metrics.ts';
import { eventually } from '../../../support/eventually.ts';
import { startNamedApp } from '../../../support/named-app.ts';
import type { NamedApp } from '../../../support/named-app.ts';
import { endpoint } from '../../aggregator/keeper/world.ts';

const SOON = { withinMs: 60_000 };
const apps: NamedApp[] = [];
const stop = new Set<() => Promise<void>>();
afterEach(async () => {
  for (const end of stop) await end();
  stop.clear();
  for (const app of apps.splice(0)) await app.stop();
});

async function app(service: string): Promise<NamedApp> {
  const started = await startNamedApp(service);
  apps.push(started);
  return started;
}

function suspect(port: number, more: Partial<Suspect> = {}): Suspect {
  const it = endpoint('127.0.0.1', { port });
  return {
    source: 'dc1',
    service: 'orders.default',
    key: endpointKey(it),
    endpoint: it,
    protocol: '',
    aliases: [],
    cause: 'dark',
    refuted: false,
    ...more,
  };
}

const SETTINGS: ProbeSettings = {
  intervalMs: 20,
  timeoutMs: 20_000,
  concurrency: 8,
  perSecond: 10_000,
  path: '/healthz',
  networks: [''],
};

interface Told {
  readonly key: string;
  readonly verdict: Verdict;
  readonly by: Pinger;
}

/** Timers that wait now, and the most that ever did. */
class CountingClock implements Clock {
  waiting = 0;
  most = 0;
  readonly now = () => systemClock.now();
  readonly monotonic = () => systemClock.monotonic();
  after(ms: number, fn: () => void): () => void {
    this.waiting += 1;
    this.most = Math.max(this.most, this.waiting);
    let isOver = false;
    const over = () => {
      if (!isOver) this.waiting -= 1;
      isOver = true;
    };
    const cancel = systemClock.after(ms, () => {
      over();
      fn();
    });
    return () => {
      over();
      cancel();
    };
  }
}

function start(
  of: { dark?: () => Iterable<Suspect>; live?: () => Iterable<Suspect> },
  settings: Partial<ProbeSettings> = {},
) {
  const told: Told[] = [];
  const metrics = createMetrics();
  const clock = new CountingClock();
  const controller = new AbortController();
  const running = runProber(
    {
      suspects: (ofDark) => (ofDark ? (of.dark?.() ?? []) : (of.live?.() ?? [])),
      prove: (_source, _service, key, verdict, by) => told.push({ key, verdict, by }),
      isLocal: () => true,
      settings: { ...SETTINGS, ...settings },
      clock,
      log: createLogger('silent'),
      metrics,
    },
    controller.signal,
  );
  const end = async () => {
    controller.abort(new Error('test over'));
    await running;
  };
  stop.add(end);
  return { told, metrics, clock, end, of: (key: string) => told.filter((each) => each.key === key) };
}

const valueOf = async ({ metrics }: ReturnType<typeof start>, name: string, labels: object = {}) => {
  const { values } = (await metrics.registry.getSingleMetric(name)?.get()) ?? { values: [] };
  return values.find((value) => Object.entries(labels).every(([k, v]) => value.labels[k] === v))?.value;
};

describe('the prober', () => {
  it('tells what each one answered, again and again', async () => {
    const [orders, carts, plain] = [await app('orders.default'), await app('carts.default'), await app('')];
    const all = [orders, carts, plain].map(({ port }) => suspect(port));
    const prober = start({ dark: () => all });
    await eventually(() => all.every(({ key }) => prober.of(key).length >= 3), SOON);
    const kinds = all.map(({ key }) => prober.of(key)[0]?.verdict);
    expect(kinds).toEqual([
      { kind: 'alive' },
      { kind: 'answeredAs', service: 'carts.default' },
      { kind: 'unproven' },
    ]);
    expect(await valueOf(prober, 'isthmus_probe_suspects', { cause: 'dark' })).toBe(3);
    expect(await valueOf(prober, 'isthmus_probe_failing_ratio')).toBe(0);
  });

  it('looks at those of live and of dark sources, and takes what is new into the next round', async () => {
    const [one, two] = [await app('orders.default'), await app('orders.default')];
    const live: Suspect[] = [];
    const prober = start({ dark: () => [suspect(one.port)], live: () => live });
    await eventually(() => prober.told.length >= 2, SOON);
    const late = suspect(two.port, { cause: 'conflict' });
    live.push(late);
    await eventually(() => prober.of(late.key).length > 0, SOON);
  });

  it('tells of each failure how many others failed with it', async () => {
    const alive = await Promise.all(Array.from({ length: 5 }, () => app('orders.default')));
    const dead = await app('orders.default');
    dead.hangUp();
    const all = [...alive, dead].map(({ port }) => suspect(port));
    const prober = start({ dark: () => all });
    const failures = () => prober.of(`127.0.0.1:${dead.port}`);
    await eventually(() => failures().length >= 3, SOON);
    for (const { verdict, by } of failures()) {
      expect(verdict).toEqual({ kind: 'refused' });
      expect(by).toEqual({ kind: 'prober', failing: 1 / 6 });
    }
  });

  it('believes nothing of a source most of whose endpoints fail, whatever succeeds elsewhere', async () => {
    const alive = await Promise.all(Array.from({ length: 12 }, () => app('orders.default')));
    const dead = await app('orders.default');
    dead.hangUp();
    const cutOff = suspect(dead.port, { source: 'dc2' });
    const prober = start({ dark: () => [...alive.map(({ port }) => suspect(port)), cutOff] });
    await eventually(() => prober.of(cutOff.key).length >= 2, SOON);
    for (const { by } of prober.of(cutOff.key)) expect(by.failing).toBe(1);
  });

  it('does not count against itself whom it refuted, and tells when it is back', async () => {
    const [lives, dies] = [await app('orders.default'), await app('orders.default')];
    dies.hangUp();
    const gone = suspect(dies.port, { refuted: true });
    const prober = start({ dark: () => [suspect(lives.port), gone] });
    await eventually(() => prober.told.length >= 4, SOON);
    expect(prober.of(gone.key)).toEqual([]);
    expect(await valueOf(prober, 'isthmus_probe_failing_ratio')).toBe(0);
    dies.pickUp();
    await eventually(() => prober.of(gone.key)[0]?.verdict.kind === 'alive', SOON);
  });

  it('asks where the endpoint says, and not at all where it may not or where it makes no sense', async () => {
    const [own, odd] = [await app('orders.default'), await app('orders.default')];
    const labels = (path: string) => ({ 'isthmus.dev/health-path': path });
    const at = (port: number, path: string) => ({
      endpoint: endpoint('127.0.0.1', { port, labels: labels(path) }),
    });
    const all = [
      suspect(own.port, at(own.port, '/live?full=1')),
      suspect(odd.port, at(odd.port, 'no path')),
      suspect(own.port, { key: 'link-local', endpoint: endpoint('169.254.169.254') }),
      suspect(own.port, { key: 'udp', protocol: 'udp' }),
      suspect(own.port, { key: 'tcp', protocol: 'tcp' }),
    ];
    const prober = start({ dark: () => all });
    await eventually(() => prober.of('tcp').length >= 2 && odd.requests.length > 0, SOON);
    expect(new Set(own.requests.map(({ path }) => path))).toEqual(new Set(['/live?full=1']));
    expect(new Set(odd.requests.map(({ path }) => path))).toEqual(new Set(['/healthz']));
    expect(prober.of('tcp')[0]?.verdict).toEqual({ kind: 'unproven' });
    expect([...prober.of('link-local'), ...prober.of('udp')]).toEqual([]);
    expect(await valueOf(prober, 'isthmus_probe_suspects', { cause: 'out-of-reach' })).toBe(2);
  });

  it('of 10,000 has few under way and few timers, and leaves none of either', async () => {
    const orders = await app('orders.default');
    const one = suspect(orders.port);
    let asked = 0;
    const many = function* () {
      for (let n = 0; n < 10_000; n += 1) {
        asked += 1;
        yield { ...one, key: String(n) };
      }
    };
    const prober = start({ dark: () => many() }, { perSecond: 2_000, intervalMs: 10_000 });
    await eventually(() => prober.told.length >= 200, SOON);
    expect(asked).toBeLessThan(10_000);
    await prober.end();
    expect(prober.clock.waiting).toBe(0);
    // One for each ping under way, two for the lanes.
    expect(prober.clock.most).toBeLessThanOrEqual(SETTINGS.concurrency + 2);
    await eventually(async () => (await orders.connections()) === 0, SOON);
  });
});
