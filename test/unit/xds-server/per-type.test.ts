// The services of single types: T1, T2, T3 and O10 of docs/xds.md. What a stream does is that of ADS, whose
// rules have tests of their own; here it is that each service reaches it.
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { DISCOVERY_SERVICES } from '../../../xds-server/services/paths.ts';
import { PUSH_ORDER, TYPE_URL } from '../../../xds-server/types.ts';
import { eventually } from '../../support/eventually.ts';
import { NODE } from '../../support/xds-messages.ts';
import type { Variant } from '../../support/xds-messages.ts';
import { startServer } from './running.ts';
import { service } from './services.ts';

const ORDERS = 'orders.default';
const orders = service(ORDERS, '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');

// Those that are asked for by name alone: named.test.ts.
const offered = DISCOVERY_SERVICES.flatMap(({ service: name, only: type, sotw, delta }) => {
  const only = PUSH_ORDER.find((each) => each === type);
  const paths: readonly (readonly [Variant, string | undefined])[] = [
    ['sotw', sotw],
    ['delta', delta],
  ];
  return paths.flatMap(([variant, method]) =>
    only && method ? [{ only, variant, path: `/${name}/${method}` }] : [],
  );
});

describe.each(offered)('$only, $variant', ({ only, variant, path }) => {
  const names = only === 'rds' ? ['outbound'] : only === 'lds' ? [] : [ORDERS];
  const ask = variant === 'delta' ? { subscribe: names } : { names };
  const again = variant === 'delta' ? {} : { names };

  it('T1: serves its type, and its changes', async () => {
    const running = await startServer([orders]);
    const client = running.xds(variant, NODE, path).send(only, ask);
    const first = await client.take(only, again);
    expect(first.names).toEqual(names.length > 0 ? names : ['outbound']);
    if (only === 'eds') {
      running.update(service(ORDERS, '10.0.0.9:80'));
      expect((await client.take('eds', again)).names).toEqual([ORDERS]);
    }
    await eventually(() => running.server.proxies()[0]?.types[only].state === 'SYNCED', { everyMs: 5 });
  });

  it('T2: its type is implied, in every message', async () => {
    const running = await startServer([orders]);
    const client = running.xds(variant, NODE, path).send(undefined, ask);
    const response = await client.expectResponse(only);
    client.send(undefined, { nonce: response.nonce, version: response.version, ...again });
    await eventually(() => running.server.proxies()[0]?.types[only].state === 'SYNCED', { everyMs: 5 });
  });

  it('T3: another type ends the stream with INVALID_ARGUMENT, at any time', async () => {
    const running = await startServer([orders]);
    const other = only === 'eds' ? 'cds' : 'eds';
    const early = running.xds(variant, NODE, path).send(other);
    expect(await early.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
    const late = running.xds(variant, NODE, path).send(only, ask);
    await late.take(only, again);
    late.send(other);
    const end = await late.ended;
    expect(end.code).toBe(status.INVALID_ARGUMENT);
    expect(end.details).toContain(TYPE_URL[other]);
  });
});

describe('streams of one node', () => {
  it('O10: each has its own order: routes do not wait for the endpoints of another stream', async () => {
    const running = await startServer([orders]);
    const stream = (only: string) => offered.find((o) => o.only === only && o.variant === 'delta')?.path;
    const cds = running.xds('delta', NODE, stream('cds')).send('cds');
    const rds = running.xds('delta', NODE, stream('rds')).send('rds', { subscribe: ['outbound'] });
    const clusters = await cds.expectResponse('cds');
    await rds.take('rds');
    // No ACK of the clusters, and none of the endpoints: on ADS the new route would wait.
    running.update(orders, users);
    expect(JSON.stringify([...(await rds.take('rds')).resources.values()])).toContain('users.default');
    expect((await cds.ack(clusters).take('cds')).names).toEqual(['users.default']);
  });

  it('are one client in the list of proxies', async () => {
    const running = await startServer([orders]);
    for (const { only, path } of offered.filter((o) => o.variant === 'sotw')) {
      const names = only === 'rds' ? ['outbound'] : [ORDERS];
      const client = running.xds('sotw', NODE, path).send(only, { names: only === 'lds' ? [] : names });
      await client.take(only, { names: only === 'lds' ? [] : names });
    }
    const synced = () => {
      const [proxy, ...more] = running.server.proxies();
      return more.length === 0 && Object.values(proxy?.types ?? {}).every(({ state }) => state === 'SYNCED');
    };
    await eventually(synced, { everyMs: 5 });
  });
});
