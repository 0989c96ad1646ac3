// What the shaping stage remembers of what it leaves out: what is left out now, and no more.
import { expect, it } from 'vitest';
import { LeftOutBook } from '../../../adapters/left-out.ts';
import { createShaper } from '../../../adapters/shape.ts';
import { fileSource } from '../../../config/schema.ts';
import { endpoint, group } from '../admin/fixture.ts';

const CONFIG = fileSource.parse({
  name: 'vms',
  kind: 'file',
  path: 'x',
  include: { services: ['o*', 'debug'] },
  exclude: { services: ['debug'], labels: { env: 'canary' } },
  rename: { orders: 'sales' },
});

function rig() {
  const book = new LeftOutBook();
  book.know('vms', CONFIG);
  return { book, shaper: createShaper(CONFIG, { book, source: 'vms' }) };
}

const orders = (...env: string[]) =>
  group(
    'orders.default',
    env.map((value, n) => endpoint({ address: `10.0.0.${n + 1}`, labels: { env: value } })),
  );

it('knows services and endpoints by the field that leaves them out, under the name they have here', () => {
  const { book, shaper } = rig();
  const debug = group('debug.default', [endpoint({ address: '10.0.0.9' })]);
  shaper({ type: 'sync', groups: [orders('prod', 'canary', 'canary'), debug] });
  expect(book.of('sales.default')[0]).toMatchObject({
    by: 'exclude.labels.env',
    offered: true,
    endpoints: 2,
    addresses: ['10.0.0.2:8080', '10.0.0.3:8080'],
  });
  expect(book.of('debug.default')).toMatchObject([{ by: 'exclude.services', offered: true, endpoints: 1 }]);
  expect(book.of('users.default')).toMatchObject([{ by: 'include.services', offered: false }]);
  expect(book.names()).toEqual(['sales.default', 'debug.default']);
});

it('forgets what takes part again, and what is gone', () => {
  const { book, shaper } = rig();
  shaper({ type: 'sync', groups: [orders('canary')] });
  shaper({ type: 'group', group: orders('prod') });
  expect(book.names()).toEqual([]);
  shaper({ type: 'group', group: orders('canary') });
  shaper({ type: 'gone', service: 'orders.default' });
  expect(book.names()).toEqual([]);
  shaper({ type: 'group', group: orders('canary') });
  shaper({ type: 'sync', groups: [] });
  expect(book.names()).toEqual([]);
});
