// What `isthmus diff` says: by the same builders as the real thing, and for whom it would be news.
import { expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import type { ServiceRules } from '../../../model/rules.ts';
import { NODE, nodeWith } from '../../support/xds-messages.ts';
import { startServer } from './running.ts';
import type { Running } from './running.ts';
import { service } from './services.ts';

const orders = service('orders.default', '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');
const AGENT = { user_agent_name: 'gRPC C-core linux' };

const calling = (id: string, name: string) => {
  const calls = { listValue: { values: [{ stringValue: name }] } };
  return { ...NODE, id, metadata: { fields: { isthmus: { structValue: { fields: { calls } } } } } };
};

/** One that sees all, one that calls users alone, one on demand, and a gRPC client. */
async function world(): Promise<Running> {
  const running = await startServer([orders, users]);
  const planes = [
    [nodeWith('all', {}), ['orders.default', 'users.default']],
    [calling('scoped', 'users'), ['users.default']],
  ] as const;
  for (const [node, clusters] of planes) {
    const client = running.xds('delta', node);
    await client.send('cds').take('cds');
    await client.send('eds', { subscribe: [...clusters] }).take('eds');
    await client.send('rds', { subscribe: ['outbound'] }).take('rds');
  }
  const grpc = running.xds('sotw', { ...nodeWith('grpc', {}), ...AGENT });
  await grpc.send('lds', { names: ['orders'] }).take('lds', { names: ['orders'] });
  for (const type of ['cds', 'eds', 'rds'] as const) {
    const names = ['orders.default'];
    await grpc.send(type, { names }).take(type, { names });
  }
  return running;
}

const rows = (running: Running, name: string, rules: Partial<ServiceRules>) =>
  running.server
    .preview(new Map([[name, { ...DEFAULT_RULES, ...rules }]]))
    .map(({ type, name: of, change, proxies }) => `${type} ${of} ${change} ${proxies}`);

it('tells of each dialect what it would be told', async () => {
  const running = await world();
  expect(rows(running, 'orders.default', {})).toEqual([]);
  expect(rows(running, 'nobody.default', { panicThreshold: 1 })).toEqual([]);
  // Envoy judges panic by itself, from what the cluster says.
  expect(rows(running, 'orders.default', { panicThreshold: 20 })).toEqual(['cds orders.default changed 1']);
  // A limit of time is in the routes: those of all for Envoy, those of the service for gRPC.
  expect(rows(running, 'orders.default', { traffic: { timeoutMs: 2_000 } })).toEqual([
    'rds orders.default changed 1',
    'rds outbound changed 1',
  ]);
  expect(rows(running, 'users.default', { traffic: { timeoutMs: 2_000 } })).toEqual([
    'rds outbound changed 2',
  ]);
  expect(rows(running, 'users.default', { pin: true })).toEqual([
    'rds outbound changed 2',
    'cds users.default@a added 2',
    'eds users.default@a added 0',
  ]);
});

it('tells the sidecars of a service of its breaker by latency', async () => {
  const running = await world();
  const sidecars = [
    nodeWith('one', { service: 'orders', appPort: 8080 }),
    nodeWith('two', { service: 'orders', appPort: 8080, outbound: '127.0.0.1:15002' }),
    nodeWith('other', { service: 'users', appPort: 8080 }),
  ];
  for (const node of sidecars) await running.xds('delta', node).send('lds').take('lds');
  const traffic = { breaker: { latency: { minConcurrency: 5 } } };
  expect(rows(running, 'orders.default', { traffic })).toEqual(['lds inbound changed 2']);
});

it('tells what another scope would give and take, and changes nothing', async () => {
  const running = await world();
  const asked = () =>
    running.server
      .preview(new Map(), () => ['*/users'])
      .map(({ type, name, change, proxies }) => `${type} ${name} ${change} ${proxies}`);
  const expected = [
    'lds orders removed 1',
    'cds orders.default removed 2',
    'eds orders.default removed 2',
    'rds orders.default removed 1',
    'rds outbound changed 1',
  ];
  expect(asked().sort()).toEqual(expected.sort());
  expect(asked().sort()).toEqual(expected);
  expect(running.server.proxies().map(({ scope }) => scope)).toEqual(['all', 'all', ['*/users']]);
});

it('rules that make no sense are an error', async () => {
  const running = await world();
  expect(() => rows(running, 'orders.default', { panicThreshold: 200 })).toThrow('healthy_panic_threshold');
});
