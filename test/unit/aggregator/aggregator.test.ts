import { describe, expect, it, vi } from 'vitest';
import { createAggregator } from '../../../aggregator/aggregator.ts';
import type { Aggregator } from '../../../aggregator/aggregator.ts';
import { ManualClock } from '../../../lib/clock.ts';
import { Latest } from '../../../lib/latest.ts';
import type { Discoverer, DiscoveryUpdate } from '../../../model/discovery.ts';
import type { EndpointGroup } from '../../../model/endpoint.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import type { ServiceRules } from '../../../model/rules.ts';
import type { FederationSnapshot } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';

function group(service: string, ...addresses: string[]): EndpointGroup {
  return {
    service,
    aliases: [],
    ports: [{ name: '', port: 0, protocol: '' }],
    primaryPort: '',
    endpoints: addresses.map((address) => ({
      address,
      port: 80,
      portName: '',
      network: '',
      health: 'healthy',
      weight: 1,
      labels: {},
      locality: { region: '', zone: '', subZone: '' },
    })),
  };
}

/** A source that says what it is told to, one update at a time. */
class Puppet implements Discoverer {
  readonly kind = 'puppet';
  readonly source: string;
  readonly #said = new Latest<DiscoveryUpdate | Error>();

  constructor(source: string) {
    this.source = source;
  }

  async *discover(signal: AbortSignal): AsyncGenerator<DiscoveryUpdate> {
    signal.addEventListener('abort', () => this.#said.close(), { once: true });
    for await (const update of this.#said) {
      if (update instanceof Error) throw update;
      yield update;
    }
  }

  async say(update: DiscoveryUpdate | Error): Promise<void> {
    this.#said.put(update);
    // The aggregator reads in microtasks; one turn of the loop lets it finish.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function setup(...names: string[]) {
  const clock = new ManualClock(1_000_000);
  const aggregator: Aggregator = createAggregator({
    order: names,
    clock,
    log: createLogger('silent'),
    metrics: createMetrics(),
  });
  const stop = new AbortController();
  const sources = names.map((name) => new Puppet(name));
  const attached = sources.map((source) => aggregator.attach(source, stop.signal));
  const [a, b] = sources;
  if (!a || !b) throw new Error('two sources are needed');
  const now = (): FederationSnapshot => {
    aggregator.flush();
    return aggregator.current;
  };
  const addresses = (service: string) =>
    [...(now().services.get(service)?.shards ?? [])].flatMap(([, g]) =>
      g.group.endpoints.map((e) => e.address),
    );
  const end = async () => {
    stop.abort(new Error('test over'));
    await Promise.all(attached);
    aggregator.close();
  };
  return { clock, aggregator, a, b, now, addresses, end };
}

const DARK: DiscoveryUpdate = { type: 'stale', cause: new Error('connection refused') };

describe('shards', () => {
  it('of a dark source stay, whatever happens to it or to others', async () => {
    const { clock, a, b, now, addresses, end } = setup('a', 'b');
    await a.say({
      type: 'sync',
      groups: [group('orders.default', '10.0.0.1'), group('web.default', '10.0.0.9')],
    });
    await b.say({ type: 'sync', groups: [group('orders.default', '10.1.0.1')] });
    await a.say(DARK);
    clock.advance(60_000);
    await a.say(DARK);
    await b.say({ type: 'sync', groups: [] });
    // A source that is left with nothing is believed when it has said so for a while.
    expect(addresses('orders.default')).toEqual(['10.0.0.1', '10.1.0.1']);
    expect(now().sources.get('b')).toMatchObject({ state: 'live', endpoints: 1, doubted: 1 });
    clock.advance(31_000);
    expect(addresses('orders.default')).toEqual(['10.0.0.1']);
    expect(addresses('web.default')).toEqual(['10.0.0.9']);
    expect(now().sources.get('a')).toMatchObject({
      state: 'stale',
      lastSuccess: 1_000_000,
      staleSince: 1_000_000,
      cause: 'connection refused',
      endpoints: 2,
    });
    await end();
  });

  it('go by the own word of their source: not listed, gone, or empty', async () => {
    const { clock, a, b, now, addresses, end } = setup('a', 'b');
    await a.say({ type: 'sync', groups: ['x', 'y', 'z'].map((name) => group(name, '10.0.0.1')) });
    await b.say({ type: 'sync', groups: [group('z', '10.1.0.1')] });
    await a.say({ type: 'gone', service: 'x' });
    await a.say({ type: 'group', group: group('y') });
    expect([...now().services.keys()].sort()).toEqual(['y', 'z']);
    expect(addresses('y')).toEqual([]);
    await a.say({ type: 'sync', groups: [] });
    clock.advance(31_000);
    expect([...now().services.keys()]).toEqual(['z']);
    expect(addresses('z')).toEqual(['10.1.0.1']);
    await end();
  });

  it('stand in the order of the config, whoever spoke first', async () => {
    const { a, b, addresses, end } = setup('a', 'b');
    await b.say({ type: 'sync', groups: [group('s', '10.1.0.1')] });
    await a.say({ type: 'sync', groups: [group('s', '10.0.0.1')] });
    expect(addresses('s')).toEqual(['10.0.0.1', '10.1.0.1']);
    await end();
  });
});

describe('sources', () => {
  it('are syncing until the first answer, also when that is an outage, and live again after one', async () => {
    const { clock, a, now, end } = setup('a', 'b');
    expect(now().sources.get('a')).toMatchObject({ state: 'syncing', lastSuccess: undefined });
    await a.say(DARK);
    expect(now().sources.get('a')).toMatchObject({ state: 'syncing', cause: 'connection refused' });
    clock.advance(5_000);
    await a.say({ type: 'sync', groups: [] });
    expect(now().sources.get('a')).toMatchObject({
      state: 'live',
      cause: '',
      staleSince: undefined,
      lastSuccess: 1_005_000,
    });
    await end();
  });

  it('that throw against their promise keep their shards', async () => {
    const { a, now, addresses, end } = setup('a', 'b');
    await a.say({ type: 'sync', groups: [group('s', '10.0.0.1')] });
    await a.say(new Error('broken'));
    expect(addresses('s')).toEqual(['10.0.0.1']);
    expect(now().sources.get('a')).toMatchObject({ state: 'stale', cause: 'broken' });
    await end();
  });

  it('that are detached leave with their shards, and nobody else', async () => {
    const { aggregator, a, b, now, end } = setup('a', 'b');
    await a.say({ type: 'sync', groups: [group('s', '10.0.0.1')] });
    await b.say({ type: 'sync', groups: [group('t', '10.0.0.2')] });
    aggregator.detach('a');
    expect([...now().services.keys()]).toEqual(['t']);
    expect([...now().sources.keys()]).toEqual(['b']);
    await end();
  });
});

describe('snapshots', () => {
  it('never change once handed out, and keep the object of a service that did not change', async () => {
    const { a, now, end } = setup('a', 'b');
    await a.say({ type: 'sync', groups: [group('x', '10.0.0.9'), group('y', '10.0.0.1')] });
    const first = now();
    const x = first.services.get('x');
    await a.say({ type: 'sync', groups: [group('x', '10.0.0.9'), group('y', '10.0.0.2')] });
    const second = now();
    expect(second.version).toBe(first.version + 1);
    expect(second.services.get('x')).toBe(x);
    expect(first.services.get('y')?.shards.get('a')?.group.endpoints[0]?.address).toBe('10.0.0.1');
    expect(second.services.get('y')?.shards.get('a')?.group.endpoints[0]?.address).toBe('10.0.0.2');
    await end();
  });

  it('tell both services that one address is claimed twice, until it is not', async () => {
    const { a, b, now, end } = setup('a', 'b');
    const conflicts = (service: string) => Object.fromEntries(now().services.get(service)?.conflicts ?? []);
    await a.say({ type: 'sync', groups: [group('x', '10.0.0.1', '10.0.0.2')] });
    await b.say({ type: 'sync', groups: [group('y', '10.0.0.1')] });
    expect(conflicts('x')).toEqual({ '10.0.0.1:80': ['y'] });
    expect(conflicts('y')).toEqual({ '10.0.0.1:80': ['x'] });
    await b.say({ type: 'group', group: group('y', '10.0.0.3') });
    expect([conflicts('x'), conflicts('y')]).toEqual([{}, {}]);
    await end();
  });

  it('follow the rules, and touch only the services whose rules are others', async () => {
    const { aggregator, a, b, now, end } = setup('a', 'b');
    await a.say({ type: 'sync', groups: [group('x', '10.0.0.1'), group('y', '10.0.0.1')] });
    await b.say({ type: 'sync', groups: [group('z', '10.0.0.3')] });
    const [x, z] = [now().services.get('x'), now().services.get('z')];
    const strict = { ...DEFAULT_RULES, identity: 'strict' as const };
    const shared = { ...DEFAULT_RULES, sharedAddresses: ['10.0.0.0/8'] };
    aggregator.setRules({
      base: DEFAULT_RULES,
      services: new Map<string, ServiceRules>([
        ['y', shared],
        ['later', strict],
      ]),
    });
    expect(now().services.get('x')).toBe(x);
    expect(now().services.get('z')).toBe(z);
    expect(now().services.get('y')).toMatchObject({ rules: shared, conflicts: new Map() });
    aggregator.setRules({ base: strict, services: new Map([['x', DEFAULT_RULES]]) });
    expect(now().services.get('x')).toBe(x);
    expect(now().services.get('y')?.conflicts.size).toBe(1);
    expect(now().services.get('z')?.rules).toEqual(strict);
    await a.say({ type: 'group', group: group('later', '10.0.0.4') });
    expect(now().services.get('later')?.rules).toEqual(strict);
    await end();
  });

  it('come once for a burst', async () => {
    const { clock, aggregator, a, end } = setup('a', 'b');
    aggregator.flush();
    let published = 0;
    const forget = aggregator.subscribe(() => (published += 1));
    for (let i = 0; i < 20; i += 1) await a.say({ type: 'group', group: group('s', `10.0.0.${i}`) });
    expect(published).toBe(0);
    clock.advance(10);
    expect(published).toBe(1);
    forget();
    await end();
  });

  it('show a long list in parts, and its source as live when all of it is there', async () => {
    const { clock, aggregator, a, b, end } = setup('a', 'b');
    const shown: string[] = [];
    const forget = aggregator.subscribe(({ services, sources }) => {
      const state = sources.get('a')?.state;
      shown.push(`${state} ${services.size >= 2_000 ? 'all' : services.size === 0 ? 'none' : 'some'}`);
    });
    const addresses = (n: number) => Array.from({ length: 10 }, (_, h) => `10.${n >> 8}.${n & 255}.${h}`);
    const groups = Array.from({ length: 2_000 }, (_, n) => group(`s${n}`, ...addresses(n)));
    await a.say({ type: 'sync', groups });
    await b.say({ type: 'sync', groups: [group('other', '10.9.0.1')] });
    await vi.waitFor(
      () => {
        clock.advance(10);
        expect(aggregator.current.sources.get('a')?.state).toBe('live');
      },
      { timeout: 20_000 },
    );
    forget();
    expect(shown).toContain('syncing some');
    expect(shown.at(-1)).toBe('live all');
    expect(shown.filter((text) => /live (some|none)|syncing all/.test(text))).toEqual([]);
    expect(aggregator.current.services.size).toBe(2_001);
    expect(aggregator.current.sources.get('a')).toMatchObject({ services: 2_000, endpoints: 20_000 });
    await end();
  });

  it('asks for pings of what a service moves to, and marks what answers in its name', async () => {
    const { aggregator, a, b, end } = setup('a', 'b');
    for (const source of [a, b]) {
      await source.say({ type: 'sync', groups: [group('x', `10.0.0.${source === a ? 1 : 2}`)] });
    }
    aggregator.flush();
    expect([...aggregator.suspects(false)]).toEqual([]);
    aggregator.setMoving(() => new Map([['x', 'b']]));
    const [suspect, ...more] = aggregator.suspects(false);
    expect(suspect).toMatchObject({ source: 'b', service: 'x', cause: 'moving', refuted: false });
    expect(more).toEqual([]);
    const key = suspect?.key ?? '';
    const marks = () => aggregator.current.services.get('x')?.shards.get('b')?.marks.get(key);
    const say = (verdict: Parameters<Aggregator['prove']>[3]) => {
      aggregator.prove('b', 'x', key, verdict, { kind: 'prober', failing: 0 });
      aggregator.flush();
    };
    say({ kind: 'alive' });
    expect(marks()).toEqual({ proven: { since: 1_000_000 } });
    for (let times = 0; times < 5; times += 1) say({ kind: 'refused' });
    expect(marks()).toEqual({ proven: { since: 1_000_000 } });
    say({ kind: 'answeredAs', service: 'y' });
    expect(marks()).toMatchObject({ quarantined: { answeredAs: 'y' } });
    await end();
  });
});
