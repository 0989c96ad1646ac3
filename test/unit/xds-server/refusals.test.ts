// What a client refuses: the guilty are found, by their names or by trial, the rest goes through, and nothing
// that was refused is sent again before it changes.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { group, fromSources, service } from './services.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import type { ResourceType } from '../../../xds-server/types.ts';
import { World } from './world.ts';
import type { Driver } from './world.ts';
import type { Received, Variant } from '../../support/xds-messages.ts';

const nameOf = (i: number): string => `s${String(i).padStart(2, '0')}.default`;

/** Generation 0 and 1 differ in every type that is tried here. */
const built = (i: number, generation: number): ServiceShards =>
  fromSources([
    'a',
    group(nameOf(i), {
      ports: [{ name: '', port: 0, protocol: generation % 2 === 0 ? '' : 'grpc' }],
      endpoints: [`10.0.${generation}.${i + 1}:80`],
    }),
  ]);

/** A client that takes whole responses or nothing, as Envoy does, and remembers what it holds. */
class Picky {
  readonly held = new Map<string, string>();
  /** What it refused, as the names and contents of the whole response. */
  readonly refused: string[] = [];
  readonly #client: Driver;
  readonly #type: ResourceType;
  readonly #variant: Variant;
  readonly #names: readonly string[];
  readonly #bad: (name: string, content: string) => boolean;
  readonly #say: (guilty: readonly string[], response: Received) => string;
  responses = 0;

  constructor(o: {
    readonly world: World;
    readonly variant: Variant;
    readonly type: ResourceType;
    readonly names: readonly string[];
    bad(name: string, content: string): boolean;
    say(guilty: readonly string[], response: Received): string;
  }) {
    this.#client = o.variant === 'delta' ? o.world.delta() : o.world.sotw();
    this.#type = o.type;
    this.#variant = o.variant;
    this.#names = o.type === 'cds' ? [] : o.names;
    this.#bad = (name, content) => o.bad(name, content);
    this.#say = (guilty, response) => o.say(guilty, response);
  }

  start(): this {
    const ask = this.#variant === 'delta' ? { subscribe: this.#names } : { names: this.#names };
    this.#client.send(this.#type, ask);
    return this;
  }

  /** Takes one response; false when there is none. */
  step(): boolean {
    const response = this.#client.maybe();
    if (!response) return false;
    this.responses += 1;
    const again = this.#variant === 'sotw' ? { names: this.#names } : {};
    const contents = [...response.resources].map(([name, body]) => [name, JSON.stringify(body)] as const);
    const guilty = contents.filter(([name, body]) => this.#bad(name, body)).map(([name]) => name);
    if (guilty.length > 0) {
      this.refused.push(JSON.stringify(contents.sort(([a], [b]) => (a < b ? -1 : 1))));
      this.#client.nack(response, this.#say(guilty, response), again);
      return true;
    }
    if (this.#variant === 'sotw' && this.#type === 'cds') this.held.clear();
    for (const [name, body] of contents) this.held.set(name, body);
    for (const name of response.removed) this.held.delete(name);
    this.#client.ack(response, again);
    return true;
  }

  rest(): this {
    while (this.step());
    return this;
  }

  get state() {
    return this.#client.state(this.#type);
  }
}

const KINDS: readonly (readonly [Variant, ResourceType])[] = [
  ['delta', 'cds'],
  ['delta', 'eds'],
  ['sotw', 'cds'],
  ['sotw', 'eds'],
];

describe.each(KINDS)('a client that refuses, %s %s', (variant, type) => {
  const names = (count: number): string[] => Array.from({ length: count }, (_, i) => nameOf(i));
  const worldOf = (count: number): World => new World(...names(count).map((_, i) => built(i, 0)));

  it('one bad among 50 and a text that names nobody: 49 are taken, within 20 responses', () => {
    const world = worldOf(50);
    const bad = nameOf(33);
    const client = new Picky({
      world,
      variant,
      type,
      names: names(50),
      bad: (name) => name === bad,
      say: () => 'no',
    });
    client.start().rest();
    expect([...client.held.keys()].sort()).toEqual(names(50).filter((name) => name !== bad));
    expect(client.state).toMatchObject({ state: 'NACKED', resource: bad, error: 'no' });
    expect(client.state?.refused).toEqual([{ resource: bad, error: 'no' }]);
    expect(client.responses).toBeLessThanOrEqual(20);
    expect(new Set(client.refused).size).toBe(client.refused.length);
  });

  it('a text that names several without blaming one: only the guilty is kept back', () => {
    const world = worldOf(12);
    const client = new Picky({
      world,
      variant,
      type,
      names: names(12),
      bad: (name) => name === nameOf(7),
      say: (guilty) => `something about ${nameOf(2)} and ${guilty.join()}`,
    });
    client.start().rest();
    expect(client.held.size).toBe(11);
    expect(client.state?.refused?.map(({ resource }) => resource)).toEqual([nameOf(7)]);
  });

  it('a client that refuses everything is left in peace', () => {
    const world = worldOf(90);
    const client = new Picky({ world, variant, type, names: names(90), bad: () => true, say: () => 'no' });
    client.start().rest();
    expect(client.responses).toBeLessThan(90);
    world.update(...names(90).map((_, i) => built(i, i === 0 ? 1 : 0)));
    const before = client.responses;
    client.rest();
    expect(client.responses - before).toBe(1);
  });

  it('any set of guilty ones, any words, changes meanwhile: the good arrive, nothing is refused twice', () => {
    const speech = fc.constantFrom('mute', 'blames', 'mentions one', 'mentions all');
    const change = fc.record({ at: fc.nat(25), who: fc.nat(19) });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(19), { maxLength: 8 }),
        speech,
        // Each once: content that comes back may be sent again.
        fc.uniqueArray(change, { maxLength: 6, selector: ({ who }) => who }),
        (guiltyOnes, words, changes) => {
          const world = worldOf(20);
          const guilty = new Set(guiltyOnes.map(nameOf));
          const client = new Picky({
            world,
            variant,
            type,
            names: names(20),
            bad: (name) => guilty.has(name),
            say: (these, { names: all }) => {
              if (words === 'blames')
                return `Error adding/updating: ${these.map((n) => `${n}: no`).join(', ')}`;
              if (words === 'mentions one') return `broken (${these[0]})`;
              return words === 'mute' ? 'no' : all.join(' ');
            },
          });
          const generation = new Map<number, number>();
          client.start();
          for (let step = 0, more = true; more || changes.some(({ at }) => at >= step); step += 1) {
            for (const { who } of changes.filter(({ at }) => at === step)) {
              generation.set(who, (generation.get(who) ?? 0) + 1);
              world.update(...names(20).map((_, i) => built(i, generation.get(i) ?? 0)));
            }
            more = client.step();
          }
          const good = names(20).filter((name) => !guilty.has(name));
          expect([...client.held.keys()].sort()).toEqual(good);
          const newest = new Picky({
            world,
            variant,
            type,
            names: names(20),
            bad: () => false,
            say: () => '',
          });
          newest.start().rest();
          for (const name of good) expect(client.held.get(name)).toBe(newest.held.get(name));
          expect(new Set(client.refused).size).toBe(client.refused.length);
          expect(client.state?.state).toBe(guilty.size > 0 ? 'NACKED' : 'SYNCED');
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('what is kept of the words of a client', () => {
  it('#32: a text of 80 KB is cut to 4 KiB, in whole characters', () => {
    const world = new World(service(nameOf(0), '10.0.0.1:80'));
    const client = world.delta();
    const response = client.send('cds').next('cds');
    client.nack(response, `x${'ä'.repeat(40_000)}`).silent();
    const error = client.state('cds')?.error ?? '';
    expect(Buffer.byteLength(error)).toBeLessThanOrEqual(4_096);
    expect(Buffer.byteLength(error)).toBeGreaterThan(4_090);
    expect(error).toMatch(/^xä+$/);
  });

  it('a refused set is not sent again because something else changed (SotW)', () => {
    const world = new World(service(nameOf(0), '10.0.0.1:80'));
    const client = world.sotw();
    client.send('cds').take('cds');
    world.update(built(0, 1), built(1, 0));
    client.nack(client.next('cds'), `${nameOf(0)}: no`);
    client.take('cds');
    world.update(built(0, 1), built(1, 0), built(2, 0));
    const { resources } = client.take('cds');
    expect(resources.get(nameOf(0))?.typed_extension_protocol_options).toBeUndefined();
    client.silent();
  });
});
