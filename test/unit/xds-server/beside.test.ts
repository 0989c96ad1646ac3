// What a service's own sidecars are told of its policy: the breaker by latency stands on their inbound listeners, and a
// change of it reaches them alone.
import { describe, expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import type { LatencyRules } from '../../../model/traffic.ts';
import type { Listener__Output } from '../../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import { nodeWith } from '../../support/xds-messages.ts';
import { startServer } from './running.ts';
import { service, snapshot } from './services.ts';
import { World } from './world.ts';
import type { Driver } from './world.ts';

const limited = (slice: ServiceShards, latency?: LatencyRules): ServiceShards => ({
  ...slice,
  rules: { ...DEFAULT_RULES, ...(latency && { traffic: { breaker: { latency } } }) },
});
const orders = service('orders.default', '10.0.0.1:15006');
const users = service('users.default', '10.0.0.2:15006');

const beside = (name: string, more: Readonly<Record<string, string | number>> = {}) =>
  nodeWith(`of-${name}`, { service: name, appPort: 8080, ...more });

/** Whether its one connection manager, which is in bytes of its own, names the filter. */
function isLimited(resource: unknown): boolean {
  const { filter_chains: [chain] = [] } = resource as Listener__Output;
  return chain?.filters?.[0]?.typed_config?.value?.includes('http.adaptive_concurrency') === true;
}

const listen = (world: World, node: object): Driver => {
  const client = world.delta(node);
  client.send('lds').take('lds');
  return client.silent();
};

describe('the breaker by latency', () => {
  it('is told to the nodes beside its service, and to them alone', () => {
    const world = new World(orders, users);
    const [own, other, caller] = [
      listen(world, beside('orders')),
      listen(world, beside('users')),
      listen(world, nodeWith('caller', { service: 'web' })),
    ];
    world.update(limited(orders, { minConcurrency: 7 }), users);
    const { names, resources } = own.take('lds');
    expect(names).toEqual(['inbound']);
    expect(isLimited(resources.get('inbound'))).toBe(true);
    for (const client of [own, other, caller]) client.silent();
    expect(
      JSON.stringify(world.delta(beside('orders')).send('lds').take('lds').resources.get('inbound')),
    ).toBe(JSON.stringify(resources.get('inbound')));
  });

  it('is told again when it changes, not when anything else does, and taken back', () => {
    const before = listen(new World(orders), beside('orders'));
    const world = new World(limited(orders, {}));
    const client = world.delta(beside('orders'));
    const first = client.send('lds').take('lds').resources.get('inbound');
    world.update(limited(service('orders.default', '10.0.0.1:15006', '10.0.0.3:15006'), {}));
    client.silent();
    world.update(limited(orders, { maxConcurrency: 50 }));
    expect(client.take('lds').names).toEqual(['inbound']);
    world.update(limited(orders));
    expect(isLimited(client.take('lds').resources.get('inbound'))).toBe(false);
    world.update(limited(orders, {}));
    expect(client.take('lds').resources.get('inbound')).toEqual(first);
    world.update();
    expect(client.take('lds').names).toEqual(['inbound']);
    client.silent();
    before.silent();
  });

  it('goes by SotW too, with the other listeners, and to who sees some services only', () => {
    const world = new World(orders, users);
    const client = world.sotw(beside('orders'));
    client.send('lds').take('lds');
    world.groups.scopeRules = () => ['*/users'];
    const scoped = listen(world, beside('orders', { scope: 'all' }));
    const some = listen(world, beside('orders', { outbound: '127.0.0.1:15002' }));
    world.update(limited(orders, {}), users);
    expect([...client.take('lds').names].sort()).toEqual(['inbound', 'outbound']);
    expect(scoped.take('lds').names).toEqual(['inbound']);
    expect(some.take('lds').names).toEqual(['inbound']);
  });

  it("is each service's own where several stand beside one sidecar", () => {
    const world = new World(orders, users);
    const value = (text: string) => ({ stringValue: text });
    const further = {
      listValue: {
        values: [
          {
            structValue: {
              fields: {
                service: value('users'),
                appPort: { numberValue: 8081 },
                inbound: value('0.0.0.0:15016'),
              },
            },
          },
        ],
      },
    };
    const fields = { service: value('orders'), appPort: { numberValue: 8080 }, further };
    const node = {
      id: 'both',
      cluster: 'orders',
      user_agent_name: 'envoy',
      metadata: { fields: { isthmus: { structValue: { fields } } } },
    };
    const client = listen(world, node);
    world.update(orders, limited(users, {}));
    expect(client.take('lds').names).toEqual(['inbound:users.default']);
    world.update(limited(orders, {}), limited(users, {}));
    expect(client.take('lds').names).toEqual(['inbound']);
    client.silent();
  });

  it('reaches connected sidecars when nothing but it changes', async () => {
    const running = await startServer([orders]);
    const client = running.xds('delta', beside('orders'));
    client.send('lds');
    expect([...(await client.take('lds')).names].sort()).toEqual(['inbound', 'outbound']);
    running.server.update(snapshot([limited(orders, {})]));
    expect((await client.take('lds')).names).toEqual(['inbound']);
  });
});
