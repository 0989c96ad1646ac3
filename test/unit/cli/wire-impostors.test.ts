// Leads of data planes, against small servers that answer in a name.
import { afterEach, expect, it } from 'vitest';
import { followLeads, quarantineImpostor, releaseOwner } from '../../../cli/wire-impostors.ts';
import { configSchema } from '../../../config/schema.ts';
import { systemClock } from '../../../lib/clock.ts';
import type { Verdict } from '../../../model/ping.ts';
import { plainSlice } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import { eventually } from '../../support/eventually.ts';
import { startNamedApp } from '../../support/named-app.ts';
import { endpoint } from '../admin/fixture.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const ORDERS = 'orders.default';

function world(endpoints: readonly ReturnType<typeof endpoint>[], more: object = {}) {
  const config = configSchema.parse({
    sources: [{ name: 'vms', kind: 'file', path: './vms.json' }],
    ...more,
  });
  const group = { service: ORDERS, aliases: [], ports: [], primaryPort: '', endpoints };
  const slice = plainSlice(ORDERS, new Map([['vms', group]]));
  const said: (readonly [string, Verdict])[] = [];
  const aggregator = {
    current: { services: new Map([[ORDERS, slice]]) },
    prove: (_source: string, _service: string, key: string, verdict: Verdict) =>
      void said.push([key, verdict]),
  } as unknown as Parameters<typeof quarantineImpostor>[0];
  const controller = new AbortController();
  closers.push(() => controller.abort());
  const deps = { clock: systemClock, log: createLogger('silent'), metrics: createMetrics() };
  return { said, aggregator, slice, leads: followLeads(config, aggregator, deps, controller.signal) };
}

const at = (port: number, labels = {}) => endpoint({ address: '127.0.0.1', port, labels });

it('who answers as another service when asked is quarantined, at the port of its app too', async () => {
  const carts = await startNamedApp('carts.default');
  closers.push(() => carts.stop());
  const sidecar = at(carts.port, { 'isthmus.dev/app-port': '9' });
  const { said, leads } = world([sidecar, at(9), at(10)]);
  const lead = {
    node: 'a',
    cluster: `${ORDERS}:http@vms`,
    address: '127.0.0.1',
    answeredAs: 'users.default',
  };
  leads.follow({ ...lead, port: carts.port });
  await eventually(() => said.length === 2);
  const verdict = { kind: 'answeredAs', service: 'carts.default' };
  expect(said).toEqual([
    [`127.0.0.1:${carts.port}`, verdict],
    ['127.0.0.1:9', verdict],
  ]);
  expect(carts.requests[0]?.headers['x-isthmus-service']).toBe(ORDERS);
  // Whatever else data planes tell is not believed, and many of them cost one ping.
  leads.follow({ ...lead, port: carts.port });
  leads.follow({ ...lead, port: 11 });
  leads.follow({ ...lead, cluster: 'nobody.default', port: carts.port });
  expect(carts.requests).toHaveLength(1);
});

it('who answers in its own name is cleared, and who says nothing is left as it is', async () => {
  const [orders, plain] = [await startNamedApp(ORDERS), await startNamedApp('')];
  closers.push(
    () => orders.stop(),
    () => plain.stop(),
  );
  const { said, leads } = world([at(orders.port), at(plain.port)]);
  const lead = { node: 'a', cluster: ORDERS, address: '127.0.0.1', answeredAs: 'carts.default' };
  leads.follow({ ...lead, port: plain.port });
  leads.follow({ ...lead, port: orders.port });
  await eventually(() => said.length === 1 && plain.requests.length === 1);
  expect(said).toEqual([[`127.0.0.1:${orders.port}`, { kind: 'alive' }]]);
});

it('where the control plane cannot look, two data planes are believed, one is not', () => {
  const { said, leads } = world([{ ...at(8_080), network: 'afar' }]);
  const lead = { cluster: ORDERS, address: '127.0.0.1', port: 8_080 };
  leads.follow({ ...lead, node: 'a', answeredAs: 'carts.default' });
  leads.follow({ ...lead, node: 'a', answeredAs: 'carts.default' });
  expect(said).toEqual([]);
  leads.follow({ ...lead, node: 'b', answeredAs: '' });
  expect(said).toEqual([['afar/127.0.0.1:8080', { kind: 'answeredAs', service: 'carts.default' }]]);
});

it('a sidecar that answers in its name releases its port and that of its app, as far as they were taken', () => {
  const { said, aggregator, slice } = world([at(15_006), at(8_080), at(80)]);
  const quarantined = { since: 1, answeredAs: 'carts.default' };
  const shard = slice.shards.get('vms');
  const marks = new Map([
    ['127.0.0.1:8080', { quarantined }],
    ['127.0.0.1:80', { quarantined }],
  ]);
  if (shard) Object.assign(slice, { shards: new Map([['vms', { ...shard, marks }]]) });
  releaseOwner(aggregator, { service: ORDERS, address: '127.0.0.1', ports: [15_006, 8_080] });
  expect(said).toEqual([['127.0.0.1:8080', { kind: 'alive' }]]);
  quarantineImpostor(aggregator, { service: ORDERS, address: '127.0.0.1', ports: [80], answeredAs: '' });
  expect(said[1]).toEqual(['127.0.0.1:80', { kind: 'answeredAs', service: 'somebody without a name' }]);
});
