// The index by name beside a plain list of what everybody wants: it finds all who want a name, whatever came before.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Interest } from '../../../xds-server/stream/interest.ts';
import { Subscription } from '../../../xds-server/stream/subscription.ts';
import type { ResourceType } from '../../../xds-server/types.ts';

const TYPES = ['cds', 'eds'] as const;
const change = (type: ResourceType, ...names: string[]) => [new Map([[type, new Set(names)]])];

function client(interest: Interest<string>, who: string) {
  const entries = TYPES.map((type) => interest.of(type, who));
  const subs = TYPES.map((type, i) => new Subscription(type, entries[i]));
  return { who, subs, leave: () => entries.forEach((entry) => entry.leave()) };
}
type Client = ReturnType<typeof client>;

function act(one: Client, type: number, what: string, name: string): void {
  const sub = one.subs[type];
  if (!sub) return;
  if (what === 'add') sub.addName(name);
  if (what === 'delete') sub.deleteName(name);
  if (what === 'all' || what === 'not all') sub.wildcard = what === 'all';
  if (what === 'many') for (let i = 0; i < 80; i += 1) sub.addName(`more-${i}`);
  if (what === 'leave') one.leave();
}

test('everyone who wants a name is found, whatever was asked for and given up before; who left is not', () => {
  const step = fc.record({
    who: fc.nat({ max: 3 }),
    type: fc.nat({ max: 1 }),
    what: fc.constantFrom('add', 'add', 'add', 'delete', 'all', 'not all', 'many', 'leave'),
    name: fc.nat({ max: 5 }).map((n) => `svc-${n}`),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const interest = new Interest<string>();
      const here = new Set([0, 1, 2, 3].map((i) => client(interest, `client-${i}`)));
      const all = [...here];
      for (const { who, type, what, name } of steps) {
        const one = all[who];
        if (!one || !here.has(one)) continue;
        act(one, type, what, name);
        if (what === 'leave') here.delete(one);
        for (const [i, of] of TYPES.entries()) {
          const found = interest.in(change(of, name));
          for (const other of all) {
            if (!here.has(other)) expect(found.has(other.who)).toBe(false);
            else if (other.subs[i]?.wants(name)) expect(found.has(other.who)).toBe(true);
          }
        }
      }
      for (const one of here) one.leave();
      expect(interest.size).toBe(0);
    }),
  );
});

test('who named others only is not asked', () => {
  const interest = new Interest<string>();
  const [a, b] = [client(interest, 'a'), client(interest, 'b')];
  a.subs[1]?.addName('orders');
  b.subs[1]?.addName('carts');
  expect([...interest.in(change('eds', 'orders', 'unknown'))]).toEqual(['a']);
  expect([...interest.in(change('cds', 'orders'))]).toEqual([]);
});
