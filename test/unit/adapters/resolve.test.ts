// The stage that turns host names into addresses, between a source that says what it is told to and a name
// server over UDP.
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { resolved } from '../../../adapters/resolve.ts';
import type { ResolveTimings } from '../../../adapters/resolve.ts';
import { sleep, systemClock } from '../../../lib/clock.ts';
import type { Discoverer, DiscoveryUpdate } from '../../../model/discovery.ts';
import { NO_LOCALITY } from '../../../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Health } from '../../../model/endpoint.ts';
import { DnsServer } from '../../support/dns-server.ts';
import { eventually } from '../../support/eventually.ts';
import { watchLeaks } from '../../support/leaks.ts';
import { Listener } from '../../contract/listener.ts';

const isName = (host: string): boolean => /[a-z]/.test(host) && !host.includes(':');
const endpoint = (host: string, health: Health = 'healthy'): Endpoint => ({
  address: host,
  ...(isName(host) ? { hostname: host } : {}),
  port: 80,
  portName: '',
  network: '',
  health,
  weight: 3,
  labels: {},
  locality: NO_LOCALITY,
});
const group = (name: string, ...hosts: readonly (string | Endpoint)[]): EndpointGroup => ({
  service: `${name}.default`,
  aliases: [],
  ports: [{ name: '', port: 0, protocol: '' }],
  primaryPort: '',
  endpoints: hosts.map((host) => (typeof host === 'string' ? endpoint(host) : host)),
});
const sync = (...groups: EndpointGroup[]): DiscoveryUpdate => ({ type: 'sync', groups });

/** Says what it is given, and then waits. */
class Script implements Discoverer {
  readonly source = 'script';
  readonly kind = 'consul';
  #queue: DiscoveryUpdate[] = [];
  #wake = () => undefined as void;

  say(...updates: DiscoveryUpdate[]): void {
    this.#queue.push(...updates);
    this.#wake();
  }

  async *discover(signal: AbortSignal): AsyncGenerator<DiscoveryUpdate> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const next = this.#queue.shift();
      if (next) yield next;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

const dns = new DnsServer();
let address = '';
let script: Script;
const listeners: Listener[] = [];
const fast: ResolveTimings = { pollMs: 50, minMs: 20, maxMs: 1_000, deniedMs: 60, answerMs: 600 };
const stage = (timings: ResolveTimings = {}) =>
  resolved(script, [address], { clock: systemClock }, { ...fast, ...timings });
const listen = (timings: ResolveTimings = {}): Listener => {
  const listener = new Listener(stage(timings));
  listeners.push(listener);
  return listener;
};
const soon = <T>(check: () => T) => eventually(check, { withinMs: 15_000, everyMs: 5 });
const a = (...addresses: string[]) => addresses.map((ip) => ({ type: 'A' as const, address: ip }));

beforeEach(async () => {
  address = await dns.start();
  script = new Script();
});
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
  await dns.stop();
  dns.zone.clear();
  dns.codes.clear();
  dns.mood = 'good';
});

test('each record is an endpoint with everything that was said of the name', async () => {
  dns.zone.set('vm.test', [...a('10.0.0.2', '10.0.0.1'), { type: 'AAAA', address: '2001:db8::1' }]);
  const listener = listen();
  script.say(sync(group('orders', endpoint('vm.test', 'draining'), '10.9.9.9'), group('other', '10.1.1.1')));
  await soon(() => listener.first === 'sync');
  expect(listener.groups.get('orders.default')?.endpoints).toEqual([
    { ...endpoint('vm.test', 'draining'), address: '10.0.0.1' },
    { ...endpoint('vm.test', 'draining'), address: '10.0.0.2' },
    endpoint('10.9.9.9'),
    { ...endpoint('vm.test', 'draining'), address: '2001:db8::1' },
  ]);
  expect(listener.keys('other.default')).toEqual(['10.1.1.1:80']);
});

test('two names of one address are one endpoint; somebody’s will counts', async () => {
  dns.zone.set('a.test', a('10.0.0.1'));
  dns.zone.set('b.test', a('10.0.0.1'));
  const listener = listen();
  script.say(sync(group('orders', 'a.test', endpoint('b.test', 'draining'), endpoint('10.0.0.1'))));
  await soon(() => listener.first === 'sync');
  expect(listener.groups.get('orders.default')?.endpoints).toEqual([
    { ...endpoint('b.test', 'draining'), address: '10.0.0.1' },
  ]);
});

test('records that change are told without a word of the source', async () => {
  dns.zone.set('vm.test', a('10.0.0.1'));
  const listener = listen();
  script.say(sync(group('orders', 'vm.test')));
  await soon(() => listener.keys('orders.default')[0] === '10.0.0.1:80');
  dns.zone.set('vm.test', a('10.0.0.7'));
  await soon(() => listener.keys('orders.default')[0] === '10.0.0.7:80');
  expect(listener.logOf('orders.default')).toEqual(['group']);
});

test('a name for another one: the old addresses stay until the new ones are known', async () => {
  dns.zone.set('old.test', a('10.0.0.1'));
  dns.zone.set('new.test', a('10.0.0.2'));
  const listener = listen({ patienceMs: 60_000 });
  script.say(sync(group('orders', 'old.test')));
  await soon(() => listener.first === 'sync');
  dns.mood = 'silent';
  script.say({ type: 'group', group: group('orders', 'new.test') }, { type: 'alive' });
  await soon(() => listener.log.length === 1 && dns.asked.includes('A new.test'));
  expect(listener.keys('orders.default')).toEqual(['10.0.0.1:80']);
  dns.mood = 'good';
  await soon(() => listener.keys('orders.default')[0] === '10.0.0.2:80');
  expect(listener.fewest('orders.default')).toBe(1);
});

test('a name that cannot be resolved holds nobody up for long, and is named', async () => {
  dns.zone.set('good.test', a('10.0.0.1'));
  dns.codes.set('bad.test', 2);
  const notices: string[] = [];
  const stop = new AbortController();
  script.say(sync(group('orders', 'good.test', 'bad.test')), { type: 'alive', notice: 'no labels' });
  for await (const update of stage().discover(stop.signal)) {
    if (update.type === 'sync') expect(update.groups[0]?.endpoints).toHaveLength(1);
    if (update.type === 'sync') script.say({ type: 'alive', notice: 'no labels' });
    if (update.type === 'alive') {
      notices.push(update.notice ?? '');
      break;
    }
  }
  expect(notices[0]).toMatch(/^no labels; 1 of 2 host names cannot be resolved, such as bad\.test: /);
});

test('while the source is dark nothing changes, and the next list has what the names lead to now', async () => {
  dns.zone.set('vm.test', a('10.0.0.1'));
  const listener = listen();
  script.say(sync(group('orders', 'vm.test')));
  await soon(() => listener.keys('orders.default')[0] === '10.0.0.1:80');
  script.say({ type: 'stale', cause: new Error('down') });
  await soon(() => listener.stale !== undefined);
  dns.zone.set('vm.test', a('10.0.0.2'));
  const asked = dns.asked.length;
  await soon(() => dns.asked.length > asked + 6);
  expect(listener.keys('orders.default')).toEqual(['10.0.0.1:80']);
  expect(listener.stale).toBeDefined();
  script.say(sync(group('orders', 'vm.test')));
  await soon(() => listener.keys('orders.default')[0] === '10.0.0.2:80');
});

test('a service that goes takes its names along', async () => {
  dns.zone.set('vm.test', a('10.0.0.1'));
  const listener = listen();
  script.say(sync(group('orders', 'vm.test'), group('stock', 'vm.test')));
  await soon(() => listener.groups.size === 2);
  script.say({ type: 'gone', service: 'orders.default' });
  await soon(() => listener.groups.size === 1);
  const asked = dns.asked.length;
  await soon(() => dns.asked.length > asked + 2);
  script.say({ type: 'gone', service: 'stock.default' }, { type: 'alive' });
  await soon(() => listener.groups.size === 0);
});

test('a fault of the source is its own, and everything ends with it', async () => {
  const noLeaks = watchLeaks();
  const failing: Discoverer = {
    source: 'x',
    kind: 'consul',
    async *discover() {
      yield sync(group('orders', 'vm.test'));
      throw new Error('broken');
    },
  };
  const all = async () => {
    const stop = new AbortController();
    const stream = resolved(failing, [address], { clock: systemClock }, fast).discover(stop.signal);
    for await (const update of stream) expect(update.type).toBe('sync');
  };
  await expect(all()).rejects.toThrow('broken');
  await noLeaks();
});

test('abort ends it at once, also in the middle of a question', async () => {
  const noLeaks = watchLeaks();
  dns.mood = 'silent';
  const listener = new Listener(stage({ answerMs: 60_000 }));
  script.say(sync(group('orders', 'vm.test')));
  await soon(() => dns.asked.includes('A vm.test'));
  await listener.stop();
  expect(listener.first).toBeUndefined();
  await noLeaks();
});

const HOSTS = ['a.test', 'b.test', 'none.test', '10.5.5.5', '10.0.0.1'];
const aGroup = fc
  .tuple(fc.constantFrom('x', 'y', 'z'), fc.subarray(HOSTS))
  .map(([name, hosts]) => group(name, ...hosts));
const anUpdate: fc.Arbitrary<DiscoveryUpdate> = fc.oneof(
  fc.uniqueArray(aGroup, { selector: (g) => g.service }).map((groups) => sync(...groups)),
  aGroup.map((changed) => ({ type: 'group' as const, group: changed })),
  fc.constantFrom('x', 'y', 'z').map((name) => ({ type: 'gone' as const, service: `${name}.default` })),
  fc.constant({ type: 'alive' as const }),
  fc.tuple(aGroup, aGroup).map(([one]) => sync(one)),
);

test('whatever the source says and when, the end is what its last words lead to', async () => {
  dns.zone.set('a.test', a('10.0.0.1', '10.0.0.2'));
  dns.zone.set('b.test', a('10.0.0.3'));
  const leadsTo: Record<string, string[]> = {
    'a.test': ['10.0.0.1:80', '10.0.0.2:80'],
    'b.test': ['10.0.0.3:80'],
    'none.test': [],
  };
  const keysOf = ({ endpoints }: EndpointGroup) => [
    ...new Set(endpoints.flatMap((e) => leadsTo[e.address] ?? [`${e.address}:80`])),
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(anUpdate, fc.boolean()), { maxLength: 12 }), async (steps) => {
      script = new Script();
      const listener = listen();
      const state = new Map<string, string[]>();
      const said: DiscoveryUpdate[] = [sync(), ...steps.map(([update]) => update)];
      for (const [index, update] of said.entries()) {
        if (update.type === 'sync') state.clear();
        for (const g of update.type === 'sync' ? update.groups : []) state.set(g.service, keysOf(g).sort());
        if (update.type === 'group') state.set(update.group.service, keysOf(update.group).sort());
        if (update.type === 'gone') state.delete(update.service);
        script.say(update);
        if (steps[index]?.[1]) await sleep(1, new AbortController().signal);
      }
      await soon(() => {
        const seen = [...listener.groups].map(([service]) => [service, listener.keys(service).sort()]);
        expect(new Map(seen as [string, string[]][])).toEqual(state);
        return true;
      });
      await listener.stop();
    }),
    { numRuns: 25 },
  );
}, 120_000);
