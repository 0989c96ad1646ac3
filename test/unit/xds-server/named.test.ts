// Types that are asked for by name alone: rules X5, X6, X12, X13 and SRDS of docs/xds.md. What makes a true Envoy stop
// waiting is found in test/real/named.test.ts; here it is that each name gets that answer, once.
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { absenceOf } from '../../../xds-server/named/absence.ts';
import { DISCOVERY_SERVICES } from '../../../xds-server/services/paths.ts';
import { ALL_TYPES, MESSAGE_NAME, PUSH_ORDER } from '../../../xds-server/types.ts';
import { problemsOf } from '../../../xds-server/validate/index.ts';
import { eventually } from '../../support/eventually.ts';
import { NODE } from '../../support/xds-messages.ts';
import type { Received, Variant } from '../../support/xds-messages.ts';
import { startServer } from './running.ts';
import { service } from './services.ts';
import { World } from './world.ts';
import type { Driver } from './world.ts';

const VARIANTS: readonly Variant[] = ['delta', 'sotw'];
const ON = new Map([['upstream.maintenance_mode.orders.default', 100]]);
const OFF = new Map([['upstream.maintenance_mode.orders.default', 0]]);

const client = (world: World, variant: Variant): Driver =>
  variant === 'delta' ? world.delta() : world.sotw();
const naming = (variant: Variant, ...names: string[]) =>
  variant === 'delta' ? { subscribe: names } : { names };
/** An ACK of SotW repeats the names. */
const still = (variant: Variant, ...names: string[]) => (variant === 'delta' ? {} : { names });
const fieldsOf = (response: Received, name: string): unknown =>
  (response.resources.get(name)?.['layer'] as { fields?: unknown } | undefined)?.fields ?? {};

describe.each(VARIANTS)('%s', (variant) => {
  it('X13: a layer is served by its name, changes live, and goes', () => {
    const world = new World();
    world.layers({ isthmus: OFF });
    const envoy = client(world, variant).send('rtds', naming(variant, 'isthmus'));
    const first = envoy.take('rtds', still(variant, 'isthmus'));
    expect(first.names).toEqual(['isthmus']);
    expect(fieldsOf(first, 'isthmus')).toEqual({
      'upstream.maintenance_mode.orders.default': { kind: 'numberValue', numberValue: 0 },
    });
    world.layers({ isthmus: ON });
    const second = envoy.take('rtds', still(variant, 'isthmus'));
    expect(JSON.stringify(fieldsOf(second, 'isthmus'))).toContain('100');
    world.layers({});
    const third = envoy.take('rtds', still(variant, 'isthmus'));
    if (variant === 'delta') expect(third.removed).toEqual(['isthmus']);
    else expect(fieldsOf(third, 'isthmus')).toEqual({});
    envoy.silent();
  });

  it('X13: all kinds of values; equal layers have equal versions, whatever the order', () => {
    const world = new World();
    const fraction = { numerator: 5, denominator: 'TEN_THOUSAND' } as const;
    world.layers({
      isthmus: new Map<string, never>(Object.entries({ b: 'x', a: true, c: fraction }) as never),
    });
    const envoy = client(world, variant).send('rtds', naming(variant, 'isthmus'));
    expect(fieldsOf(envoy.take('rtds', still(variant, 'isthmus')), 'isthmus')).toMatchObject({
      a: { boolValue: true },
      b: { stringValue: 'x' },
      c: {
        structValue: {
          fields: { numerator: { numberValue: 5 }, denominator: { stringValue: 'TEN_THOUSAND' } },
        },
      },
    });
    world.layers({
      isthmus: new Map<string, never>(Object.entries({ c: fraction, a: true, b: 'x' }) as never),
    });
    envoy.silent();
  });

  it('X13: a layer that there is none of is answered at once, not again, and served when it comes', () => {
    const world = new World();
    const envoy = client(world, variant).send('rtds', naming(variant, 'later'));
    const none = envoy.take('rtds', still(variant, 'later'));
    if (variant === 'delta') expect([none.names, none.removed]).toEqual([[], ['later']]);
    else expect(fieldsOf(none, 'later')).toEqual({});
    world.layers({ other: ON });
    envoy.silent();
    world.layers({ other: ON, later: ON });
    expect(envoy.take('rtds', still(variant, 'later')).names).toEqual(['later']);
    envoy.silent();
  });

  it('X13: one response is under way; what changes meanwhile is told once, as it is then', () => {
    const world = new World();
    world.layers({ isthmus: OFF });
    const envoy = client(world, variant).send('rtds', naming(variant, 'isthmus'));
    const first = envoy.next('rtds');
    world.layers({ isthmus: ON });
    world.layers({});
    world.layers({ isthmus: ON });
    envoy.silent().ack(first, still(variant, 'isthmus'));
    expect(JSON.stringify(fieldsOf(envoy.take('rtds', still(variant, 'isthmus')), 'isthmus'))).toContain(
      '100',
    );
    // There and back again: nothing is to be told.
    const last = envoy.silent();
    world.layers({ isthmus: ON });
    last.silent();
  });

  it('X13: layers come one by one, so that a refusal means one; it is parked until it changes, and told', () => {
    const world = new World();
    world.layers({ good: ON, bad: ON });
    const names = ['bad', 'good'];
    const envoy = client(world, variant).send('rtds', naming(variant, ...names));
    const first = envoy.next('rtds');
    expect(first.names).toEqual(['bad']);
    envoy.nack(first, 'no such thing', still(variant, ...names));
    expect(envoy.refused).toEqual(['rtds bad: no such thing']);
    expect(envoy.take('rtds', still(variant, ...names)).names).toEqual(['good']);
    const of = envoy.stream.inspect()?.types.find(({ type }) => type === 'rtds')?.resources;
    expect(of?.map(({ name, state, error }) => [name, state, error])).toEqual([
      ['bad', 'ERROR', 'no such thing'],
      ['good', 'SYNCED', ''],
    ]);
    world.layers({ good: ON, bad: ON });
    envoy.silent();
    world.layers({ good: ON, bad: OFF });
    expect(envoy.take('rtds', still(variant, ...names)).names).toEqual(['bad']);
  });

  it('is told of beside the other types: on its way, taken, refused, and what there is none of', () => {
    const world = new World();
    world.layers({ bad: ON });
    const names = ['bad', 'missing'];
    const envoy = client(world, variant);
    const rtds = () => envoy.stream.status()?.types.rtds;
    expect(envoy.send('cds').stream.status()?.types).not.toHaveProperty('rtds');
    envoy.next('cds');
    envoy.send('rtds', naming(variant, ...names));
    const first = envoy.next('rtds');
    expect(rtds()).toMatchObject({ state: 'STALE', version: '', absent: ['missing'] });
    expect(rtds()?.sent).toMatch(/^[0-9a-f]{24}$/);
    envoy.nack(first, 'no such thing', still(variant, ...names));
    envoy.take('rtds', still(variant, ...names));
    expect(rtds()).toMatchObject({ state: 'NACKED', error: 'no such thing', resource: 'bad' });
    world.layers({ bad: OFF });
    envoy.take('rtds', still(variant, ...names));
    expect(rtds()).toMatchObject({ state: 'SYNCED', error: '', resource: '', absent: ['missing'] });
    world.layers({});
    envoy.take('rtds', still(variant, ...names));
    expect(rtds()).toMatchObject({ state: 'NOT_SENT', absent: names });
  });

  it('of the words of a refusal so much is kept as is of use', () => {
    const world = new World();
    world.layers({ bad: ON });
    const envoy = client(world, variant).send('rtds', naming(variant, 'bad'));
    envoy.nack(envoy.next('rtds'), 'no '.repeat(100_000), still(variant, 'bad'));
    expect(envoy.stream.status()?.types.rtds?.error).toHaveLength(4_096);
    expect(envoy.stream.inspect()?.types[0]?.resources[0]?.error).toHaveLength(4_096);
  });

  it('X6: a secret that there is none of is answered at once, never by one that could be used', () => {
    const envoy = client(new World(), variant).send('sds', naming(variant, 'cert'));
    const none = envoy.next('sds');
    if (variant === 'delta') {
      expect([none.names, none.removed]).toEqual([[], ['cert']]);
      envoy.ack(none).silent();
      return;
    }
    envoy.nack(none, 'Proto constraint validation failed', { names: ['cert'] }).silent();
    expect(envoy.refused).toEqual([]);
    expect(Object.keys(none.resources.get('cert') ?? {}).sort()).toEqual(
      ['name', 'session_ticket_keys', 'type'].sort(),
    );
    const told = absenceOf('sotw', 'sds', 'cert');
    if (told === undefined || told === 'removed') throw new Error('it is a resource');
    expect(problemsOf(MESSAGE_NAME.sds, told.bytes)).not.toEqual([]);
  });

  it('X12, D22: a filter that there is none of is answered by one that is refused, never as removed', () => {
    const world = new World();
    const envoy = client(world, variant).send('ecds', naming(variant, 'a', 'b'));
    const none = envoy.next('ecds');
    expect([none.names, none.removed]).toEqual([['a', 'b'], []]);
    for (const name of none.names) expect(none.resources.get(name)?.['typed_config']).toBeUndefined();
    envoy.nack(none, 'value is required', still(variant, 'a', 'b')).silent();
    expect(envoy.refused).toEqual([]);
    const told = absenceOf(variant, 'ecds', 'a');
    if (told === undefined || told === 'removed') throw new Error('it is a resource');
    expect(problemsOf(MESSAGE_NAME.ecds, told.bytes).join()).toContain('typed_config: is required');
  });

  it('SRDS: everything, of which there is nothing, is answered by nothing', () => {
    const envoy = client(new World(), variant).send('srds');
    const none = envoy.next('srds');
    expect([none.names, none.removed]).toEqual([[], []]);
    envoy.ack(none).silent();
  });

  it('a name that was given up and is wanted again is answered again', () => {
    const world = new World();
    world.layers({ isthmus: ON });
    const envoy = client(world, variant).send('rtds', naming(variant, 'isthmus'));
    envoy.take('rtds', still(variant, 'isthmus'));
    envoy.send('rtds', variant === 'delta' ? { unsubscribe: ['isthmus'] } : { names: [] });
    world.layers({ isthmus: OFF });
    envoy.silent().send('rtds', naming(variant, 'isthmus'));
    expect(envoy.take('rtds', still(variant, 'isthmus')).names).toEqual(['isthmus']);
  });

  it('start-up: a layer that a client came with is not taken from it before every source has answered', () => {
    const world = new World();
    world.gate = 'only-add';
    const held = variant === 'delta' ? { held: { isthmus: 'v' } } : { version: 'v' };
    const envoy = client(world, variant)
      .send('rtds', { ...naming(variant, 'isthmus'), ...held })
      .silent();
    const fresh = client(world, variant).send('rtds', naming(variant, 'isthmus'));
    fresh.take('rtds', still(variant, 'isthmus'));
    world.open('open');
    expect(envoy.take('rtds', still(variant, 'isthmus')).type).toBe('rtds');
    fresh.silent();
  });

  it('many names that there are none of take few responses, none of them long', () => {
    const names = Array.from({ length: 40_000 }, (_, i) => `${'n'.repeat(100)}${i}`);
    const envoy = client(new World(), variant).send('sds', naming(variant, ...names));
    let told = 0;
    let responses = 0;
    for (let next = envoy.maybe(); next; next = envoy.maybe()) {
      responses += 1;
      told += next.names.length + next.removed.length;
      expect(next.bytes.length).toBeLessThan(3 * 1024 * 1024);
      envoy.ack(next, still(variant, ...names));
    }
    expect(told).toBe(names.length);
    expect(responses).toBeLessThan(20);
  });

  it('has no part in the order of a change: clusters that nobody acknowledges hold nothing up', () => {
    const world = new World(service('orders.default', '10.0.0.1:80'));
    world.layers({ isthmus: OFF });
    const envoy = client(world, variant).send('rtds', naming(variant, 'isthmus'));
    envoy.take('rtds', still(variant, 'isthmus'));
    envoy.send('cds').next('cds');
    world.layers({ isthmus: ON });
    expect(envoy.take('rtds', still(variant, 'isthmus')).names).toEqual(['isthmus']);
  });
});

it('X5: a virtual host that there is none of: an entry without one, of which the name is an alias', () => {
  const envoy = new World().delta().send('vhds');
  const nothing = envoy.take('vhds');
  expect([nothing.names, nothing.removed]).toEqual([[], []]);
  const none = envoy.send('vhds', { subscribe: ['routes/nobody'] }).next('vhds');
  expect([none.names, none.removed]).toEqual([['routes/nobody'], []]);
  expect(none.resources.get('routes/nobody')).toEqual({});
  envoy.ack(none).silent();
});

const named = DISCOVERY_SERVICES.flatMap(({ service: name, only, sotw, delta }) =>
  VARIANTS.flatMap((variant) => {
    const method = variant === 'sotw' ? sotw : delta;
    const isNamed = only && !PUSH_ORDER.some((type) => type === only);
    return isNamed && method ? [{ only, variant, path: `/${name}/${method}` }] : [];
  }),
);

it('T1: each of these types has a service', () => {
  const types = new Set(named.map(({ only }) => only));
  expect([...types].sort()).toEqual(ALL_TYPES.filter((type) => !PUSH_ORDER.some((t) => t === type)).sort());
});

describe.each(named)('$only, $variant, on its own service', ({ only, variant, path }) => {
  it('T1, T2: answers, its type is implied', async () => {
    const running = await startServer([]);
    running.server.setLayers(new Map([['a', OFF]]));
    const names = only === 'srds' ? [] : ['a'];
    const envoy = running.xds(variant, NODE, path).send(undefined, naming(variant, ...names));
    await envoy.take(only, still(variant, ...names));
    if (only !== 'rtds') return;
    running.server.setLayers(new Map([['a', ON]]));
    expect((await envoy.take(only, still(variant, ...names))).names).toEqual(['a']);
  });

  it('T3: another type ends the stream', async () => {
    const running = await startServer([]);
    const early = running.xds(variant, NODE, path).send('cds');
    expect(await early.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

it('beside ADS such a stream is no client of its own in the list of proxies', async () => {
  const running = await startServer([service('orders.default', '10.0.0.1:80')]);
  const path = '/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets';
  await running
    .xds('delta', NODE, path)
    .send('sds', { subscribe: ['cert'] })
    .take('sds');
  await running.xds('delta').send('cds').take('cds');
  await eventually(() => running.server.proxies()[0]?.types.cds.state === 'SYNCED', { everyMs: 5 });
  expect(running.server.proxies().map(({ node }) => node)).toEqual(['node-1']);
});

it('what other layers would change is told, and how many asked for them', async () => {
  const running = await startServer([]);
  running.server.setLayers(new Map([['isthmus', OFF]]));
  await running
    .xds('delta')
    .send('rtds', { subscribe: ['isthmus', 'web'] })
    .take('rtds');
  const preview = (name: string, layer: typeof ON) =>
    running.server.preview(new Map(), undefined, new Map([[name, layer]]));
  expect(preview('isthmus', OFF)).toEqual([]);
  expect(preview('isthmus', ON)).toEqual([{ type: 'rtds', name: 'isthmus', change: 'changed', proxies: 1 }]);
  expect(preview('web', ON)).toEqual([{ type: 'rtds', name: 'web', change: 'added', proxies: 1 }]);
  expect(preview('other', ON)).toEqual([{ type: 'rtds', name: 'other', change: 'added', proxies: 0 }]);
});
