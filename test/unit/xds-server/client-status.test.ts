// X10 of docs/xds.md: what the server says of its clients (CSDS), over a real socket.
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { NODE, nodeWith } from '../../support/xds-messages.ts';
import { DISCOVERY_SERVICES } from '../../../xds-server/services/paths.ts';
import { TYPE_URL } from '../../../xds-server/types.ts';
import type { AnyType } from '../../../xds-server/types.ts';
import { startServer } from './running.ts';
import type { Running } from './running.ts';
import { service } from './services.ts';

const ORDERS = 'orders.default';
const USERS = 'users.default';
const orders = service(ORDERS, '10.0.0.1:80');
const users = service(USERS, '10.0.0.2:80');

const PATH = '/envoy.service.status.v3.ClientStatusDiscoveryService';
const TYPES = [
  'envoy.service.status.v3.ClientStatusRequest',
  'envoy.service.status.v3.ClientStatusResponse',
] as const;

interface Config {
  readonly type_url: string;
  readonly name: string;
  readonly version_info?: string;
  readonly xds_config?: { readonly type_url: string };
  readonly config_status: string;
  readonly client_status: string;
  readonly error_state?: {
    readonly details: string;
    readonly version_info: string;
    readonly failed_configuration?: object;
  };
}

interface Client {
  readonly node: { readonly id: string; readonly extensions?: readonly object[] };
  readonly generic_xds_configs?: readonly Config[];
}

async function fetchStatus(running: Running, request: object = {}): Promise<readonly Client[]> {
  const answer = await running.unary(`${PATH}/FetchClientStatus`, ...TYPES, request);
  return (answer.config ?? []) as readonly Client[];
}

const of = (clients: readonly Client[], type: AnyType, name: string) =>
  clients[0]?.generic_xds_configs?.find((c) => c.type_url === TYPE_URL[type] && c.name === name);

describe('X10: the state of each resource', () => {
  it('is STALE until the answer, SYNCED after an ACK, ERROR with version and words after a NACK', async () => {
    const running = await startServer([orders, users]);
    const client = running.xds('delta').send('cds');
    const response = await client.expectResponse('cds');
    expect(of(await fetchStatus(running), 'cds', ORDERS)).toMatchObject({
      config_status: 'STALE',
      client_status: 'REQUESTED',
    });
    client.ack(response);
    await eventually(async () => of(await fetchStatus(running), 'cds', ORDERS)?.config_status === 'SYNCED');
    const before = of(await fetchStatus(running), 'cds', USERS);
    expect(before).toMatchObject({ client_status: 'ACKED', xds_config: { type_url: TYPE_URL.cds } });
    expect(before?.version_info).toMatch(/./);

    client.send('eds', { subscribe: [ORDERS, USERS] });
    const endpoints = await client.take('eds');
    running.update(service(ORDERS, '10.0.0.3:80'), users);
    const refused = await client.expectResponse('eds');
    client.nack(refused, `${ORDERS}: no such network`);
    const bad = await eventually(async () => {
      const config = of(await fetchStatus(running), 'eds', ORDERS);
      return config?.config_status === 'ERROR' && config;
    });
    expect(bad).toMatchObject({
      client_status: 'NACKED',
      error_state: { version_info: refused.versions[ORDERS], details: `${ORDERS}: no such network` },
    });
    expect(bad.error_state?.failed_configuration).toBeDefined();
    expect(refused.versions[ORDERS]).not.toBe(endpoints.versions[ORDERS]);
    expect(of(await fetchStatus(running), 'eds', USERS)?.config_status).toBe('SYNCED');
  });

  it('is NOT_SENT for what waits for its turn, and for what does not exist', async () => {
    const running = await startServer([orders]);
    const client = running.xds('delta').send('cds');
    await client.expectResponse('cds');
    client.send('lds').send('eds', { subscribe: ['nobody.default'] });
    await client.expectResponse('eds');
    const clients = await fetchStatus(running);
    // Listeners wait for the ACK of the clusters.
    expect(of(clients, 'lds', 'outbound')).toMatchObject({
      config_status: 'NOT_SENT',
      client_status: 'REQUESTED',
    });
    expect(of(clients, 'eds', 'nobody.default')).toMatchObject({
      config_status: 'NOT_SENT',
      client_status: 'DOES_NOT_EXIST',
    });
  });
});

it('X10: of types that are asked for by name alone, too', async () => {
  const running = await startServer([]);
  running.server.setLayers(new Map([['isthmus', new Map([['key', 1]])]]));
  const client = running.xds('delta').send('rtds', { subscribe: ['isthmus'] });
  const layer = await client.expectResponse('rtds');
  client.send('sds', { subscribe: ['cert'] });
  await client.take('sds');
  const clients = await fetchStatus(running);
  expect(of(clients, 'rtds', 'isthmus')).toMatchObject({
    config_status: 'STALE',
    client_status: 'REQUESTED',
  });
  expect(of(clients, 'sds', 'cert')).toMatchObject({ client_status: 'DOES_NOT_EXIST' });
  client.ack(layer);
  await eventually(
    async () => of(await fetchStatus(running), 'rtds', 'isthmus')?.config_status === 'SYNCED',
    {
      everyMs: 5,
    },
  );
});

describe('X10: which clients', () => {
  const ids = (clients: readonly Client[]) => clients.map((c) => c.node.id).sort();
  const path = (key: string) => [{ key: 'isthmus' }, { key }];
  const text = (exact: string) => ({ string_match: { exact } });

  it('node_matchers are OR-ed; id and metadata of one are AND-ed', async () => {
    const running = await startServer([orders]);
    for (const id of ['a-1', 'a-2', 'b-1']) {
      const node = nodeWith(id, { service: id.startsWith('a') ? 'orders' : 'users', appPort: 8080 });
      await running.xds('sotw', node).send('lds').take('lds');
    }
    const ask = async (...matchers: readonly object[]) =>
      ids(await fetchStatus(running, { node_matchers: matchers }));
    expect(await ask()).toEqual(['a-1', 'a-2', 'b-1']);
    expect(await ask({ node_id: { exact: 'a-1' } }, { node_id: { suffix: '-1' } })).toEqual(['a-1', 'b-1']);
    expect(await ask({ node_id: { prefix: 'A-', ignore_case: true } })).toEqual(['a-1', 'a-2']);
    expect(await ask({ node_id: { contains: '-2' } })).toEqual(['a-2']);
    expect(await ask({ node_metadatas: [{ path: path('service'), value: text('users') }] })).toEqual(['b-1']);
    const both = {
      node_id: { suffix: '-1' },
      node_metadatas: [{ path: path('service'), value: text('orders') }],
    };
    expect(await ask(both)).toEqual(['a-1']);
    expect(await ask({ node_metadatas: [{ path: path('none'), value: { present_match: true } }] })).toEqual(
      [],
    );
    expect(
      await ask({ node_metadatas: [{ path: path('appPort'), value: { double_match: { exact: 8080 } } }] }),
    ).toHaveLength(3);
    const or = { or_match: { value_matchers: [text('users'), text('nobody')] } };
    expect(await ask({ node_metadatas: [{ path: path('service'), value: or }] })).toEqual(['b-1']);
  });

  it('a regular expression is refused, as no client may keep the server busy', async () => {
    const running = await startServer([orders]);
    await running.xds('sotw').send('lds').take('lds');
    const matchers = [{ node_id: { safe_regex: { regex: '(a+)+$' } } }];
    await expect(fetchStatus(running, { node_matchers: matchers })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  it('streams of single types are one client', async () => {
    const running = await startServer([orders]);
    for (const { only, service: name, sotw } of DISCOVERY_SERVICES.filter(
      (s) => s.only === 'cds' || s.only === 'lds',
    )) {
      if (only) await running.xds('sotw', NODE, `/${name}/${sotw}`).send(only).take(only);
    }
    const clients = await fetchStatus(running);
    expect(clients.map((c) => c.node.id)).toEqual(['node-1']);
    expect(of(clients, 'cds', ORDERS)).toBeDefined();
    expect(of(clients, 'lds', 'outbound')).toBeDefined();
  });
});

describe('X10: the answer', () => {
  it('is one for each request of a stream; without contents and extensions when nobody wants them', async () => {
    const running = await startServer([orders]);
    const node = {
      ...NODE,
      extensions: [{ name: 'envoy.filters.http.router', category: 'envoy.filters.http' }],
    };
    await running.xds('delta', node).send('cds').take('cds');
    const stream = running.stream(`${PATH}/StreamClientStatus`, ...TYPES).send({});
    const [whole] = (await stream.next()).config as readonly Client[];
    expect(whole?.generic_xds_configs?.[0]?.xds_config).toBeDefined();
    expect(whole?.node.extensions ?? []).toEqual([]);
    const [short] = (await stream.send({ exclude_resource_contents: true }).next())
      .config as readonly Client[];
    expect(short?.generic_xds_configs?.[0]).toMatchObject({ name: ORDERS });
    expect(short?.generic_xds_configs?.[0]?.xds_config ?? null).toBeNull();
  });

  it('garbage ends the call and nothing else', async () => {
    const running = await startServer([orders]);
    const stream = running
      .stream(`${PATH}/StreamClientStatus`, ...TYPES)
      .sendBytes(Buffer.from([0x0a, 0xff, 1]));
    expect((await stream.ended).code).toBe(status.INVALID_ARGUMENT);
    expect(await fetchStatus(running)).toEqual([]);
  });
});
