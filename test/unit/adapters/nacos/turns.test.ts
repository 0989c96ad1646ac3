import { expect, it } from 'vitest';
import type { Listed } from '../../../../adapters/nacos/client.ts';
import { Turns } from '../../../../adapters/nacos/turns.ts';

const listed = (name: string, counts = '1/1/1'): Listed => ({
  key: `G@@${name}`,
  group: 'G',
  name,
  instances: 1,
  healthy: 1,
  asForCallers: false,
  counts,
});
const names = (services: readonly Listed[]) => services.map(({ name }) => name);
/** All of them asked once. */
function asked(turns: Turns): Turns {
  for (const service of turns.due(0)) turns.answered(service);
  return turns;
}

it('asks for what is new and for what moved, and for nothing else at once', () => {
  const turns = new Turns(60_000);
  turns.list([listed('a'), listed('b')]);
  expect(names(turns.due(0))).toEqual(['a', 'b']);
  asked(turns);
  expect(turns.due(0)).toEqual([]);
  turns.list([listed('a', '1/2/2'), listed('b'), listed('c')]);
  expect(names(turns.due(0)).sort()).toEqual(['a', 'c']);
});

it('asks again for what gave no answer', () => {
  const turns = new Turns(60_000);
  turns.list([listed('a')]);
  asked(turns);
  turns.again(listed('a'));
  expect(names(turns.due(0))).toEqual(['a']);
});

it('tells what is gone, once', () => {
  const turns = new Turns(60_000);
  turns.list([listed('a'), listed('b')]);
  expect(names(turns.list([listed('b')]))).toEqual(['a']);
  expect(turns.list([listed('b')])).toEqual([]);
});

it('asks each one once in the time it is given, and not more often', () => {
  const turns = new Turns(60_000);
  const services = Array.from({ length: 100 }, (_, n) => listed(`s${n}`));
  turns.list(services);
  asked(turns);
  const counts = new Map<string, number>();
  for (let n = 0; n < 120; n += 1) {
    for (const service of turns.due(5_000)) {
      counts.set(service.name, (counts.get(service.name) ?? 0) + 1);
      turns.answered(service);
    }
  }
  // Ten minutes.
  expect(counts.size).toBe(100);
  for (const count of counts.values()) expect(count).toBe(10);
});

it('after a long silence asks for everything once, not several times', () => {
  const turns = new Turns(60_000);
  turns.list([listed('a'), listed('b')]);
  asked(turns);
  expect(turns.due(3_600_000)).toHaveLength(2);
});
