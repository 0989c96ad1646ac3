// Whatever a shard goes through, the journal's lines lead from any state to any later one and back.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { changesBetween, replay, undo, wordsOf } from '../../../../aggregator/journal/changes.ts';
import type { Change } from '../../../../model/change.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';
import type { Endpoint } from '../../../../model/endpoint.ts';
import { NO_MARKS, plainShard } from '../../../../model/shard.ts';
import type { Shard } from '../../../../model/shard.ts';

const endpoint: fc.Arbitrary<Endpoint> = fc
  .record({
    n: fc.integer({ min: 1, max: 4 }),
    weight: fc.integer({ min: 0, max: 3 }),
    health: fc.constantFrom('healthy' as const, 'unhealthy' as const),
    v: fc.constantFrom('v1', 'v2'),
  })
  .map(({ n, weight, health, v }) => ({
    address: `10.0.0.${n}`,
    port: 80,
    portName: '',
    network: '',
    health,
    weight,
    labels: { v },
    locality: NO_LOCALITY,
  }));
const shard: fc.Arbitrary<Shard | undefined> = fc.option(
  fc
    .tuple(fc.uniqueArray(endpoint, { selector: (e) => e.address, maxLength: 4 }), fc.boolean())
    .map(([endpoints, doubted]) => ({
      ...plainShard({ service: 'orders.default', aliases: [], ports: [], primaryPort: '', endpoints }),
      marks:
        doubted && endpoints[0]
          ? new Map([
              [`${endpoints[0].address}:80`, { doubted: { since: 1, cause: 'removed-at-once' as const } }],
            ])
          : NO_MARKS,
    })),
  { nil: undefined },
);

test('replay gives the state, undo gives any earlier one', () => {
  fc.assert(
    fc.property(fc.array(shard, { minLength: 1, maxLength: 10 }), fc.nat(), (states, pick) => {
      const all: Change[] = [];
      const upTo: number[] = [];
      let before: Shard | undefined;
      for (const [index, after] of states.entries()) {
        const cause = { kind: 'source' as const, detail: 'group' };
        all.push(
          ...changesBetween(before, after, { at: index, source: 'a', service: 'orders.default', cause }),
        );
        upTo.push(all.length);
        before = after;
      }
      // A line survives its way through a file.
      const lines = JSON.parse(JSON.stringify(all)) as Change[];
      const at = pick % states.length;
      expect(replay(new Map(), lines.slice(0, upTo[at]))).toEqual(wordsOf(states[at]));
      expect(undo(wordsOf(before), lines.slice(upTo[at]))).toEqual(wordsOf(states[at]));
    }),
  );
});

test('no change, no line', () => {
  fc.assert(
    fc.property(shard, (state) => {
      const of = { at: 0, source: 'a', service: 's', cause: { kind: 'source' as const, detail: 'sync' } };
      expect(changesBetween(state, structuredClone(state), of)).toEqual([]);
    }),
  );
});
