import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EMPTY_TABLES } from '../../../../proxy/tables.ts';
import { assembleTables } from '../../../../proxy/xds/assemble.ts';
import { XDS_REFUSED } from '../../../../proxy/xds/refusal.ts';
import { ResourceStore } from '../../../../proxy/xds/store.ts';
import { TYPE_URL } from '../../../../proxy/xds/types.ts';
import type { XdsType } from '../../../../proxy/xds/types.ts';
import {
  assignment,
  bytesOf,
  edsCluster,
  host,
  listener,
  manager,
  outboundRoutes,
  rdsListener,
  request,
  staticCluster,
  virtualHost,
} from './fixture.ts';

type Resources = ReadonlyMap<string, Buffer>;

function accept(
  store: ResourceStore,
  type: XdsType,
  resources: Resources,
  removed: string[] = [],
  version = '1',
): void {
  store.accept(type, {
    removed_resources: removed,
    resources: [...resources].map(([name, value]) => ({
      name,
      version,
      resource: { type_url: TYPE_URL[type], value },
    })),
  });
}

const GOOD: Readonly<Record<XdsType, Resources>> = {
  cds: bytesOf.cds(edsCluster('a'), staticCluster('b', 80)),
  eds: bytesOf.eds(assignment('a', [host('10.0.0.1', 80, { load_balancing_weight: { value: 3 } })])),
  lds: bytesOf.lds(
    rdsListener('outbound', 'outbound'),
    listener('inbound', manager({ route_config: { virtual_hosts: [virtualHost('b', ['*'])] } })),
  ),
  rds: bytesOf.rds(outboundRoutes({ a: ['a', 'a.default'] })),
};
const TYPES: readonly XdsType[] = ['cds', 'eds', 'lds', 'rds'];

function filled(): ResourceStore {
  const store = new ResourceStore();
  for (const type of TYPES) accept(store, type, GOOD[type]);
  return store;
}

const contentOf = (store: ResourceStore) =>
  TYPES.map((type) => [...store.held(type)].map(([name, h]) => [name, h.version, h.bytes.toString('hex')]));

describe('the resource store', () => {
  test('property: whatever bytes come, they are taken or refused, and a refusal changes nothing', () => {
    const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.constantFrom(...TYPES), damage, fc.nat(), (type, hits, cut) => {
        const store = filled();
        const before = contentOf(store);
        const [[name, bytes] = ['', Buffer.alloc(0)]] = [...GOOD[type]];
        const bad = Buffer.from(bytes.subarray(0, bytes.length - (cut % 5)));
        for (const { at, byte } of hits) bad[at % bad.length] = byte;
        try {
          accept(store, type, new Map([[name, bad]]), [], '2');
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: XDS_REFUSED.code });
          expect(contentOf(store)).toEqual(before);
        }
        const listener = assembleTables(store, EMPTY_TABLES).listeners.get('outbound');
        if (listener && 'routes' in listener) listener.routes.lookup(request('a', '/', { service: 'a' }));
      }),
      { numRuns: 300 },
    );
  });

  test('property: the order of responses does not matter, once all have come', () => {
    const orders = fc.shuffledSubarray([...TYPES], { minLength: 4 });
    const dump = (store: ResourceStore) => JSON.stringify([...assembleTables(store, EMPTY_TABLES).clusters]);
    fc.assert(
      fc.property(orders, (order) => {
        const store = new ResourceStore();
        // What is not asked for yet is dropped, and comes again when it is, as a server would send it.
        for (const type of [...order, ...TYPES]) accept(store, type, GOOD[type]);
        expect(store.complete).toBe(true);
        expect(dump(store)).toBe(dump(filled()));
      }),
    );
  });

  test('all problems of a response are named at once', () => {
    const bad = bytesOf.cds(
      edsCluster('x', { type: 'STRICT_DNS' }),
      edsCluster('y', { connect_timeout: {} }),
    );
    expect(() => accept(filled(), 'cds', bad)).toThrow(/"x": type: .*; .*"y": connect_timeout: /);
  });

  test('what nobody names any more is forgotten', () => {
    const store = filled();
    accept(store, 'cds', new Map(), ['a']);
    accept(store, 'lds', new Map(), ['outbound']);
    expect([store.held('eds').size, store.held('rds').size, store.wanted('eds').size]).toEqual([0, 0, 0]);
  });

  test('endpoints shared by two clusters stay while one of them does', () => {
    const store = new ResourceStore();
    const shared = (name: string) =>
      edsCluster(name, { eds_cluster_config: { eds_config: { ads: {} }, service_name: 'a' } });
    accept(store, 'cds', bytesOf.cds(shared('one'), shared('two')));
    accept(store, 'eds', GOOD.eds);
    accept(store, 'cds', new Map(), ['one']);
    expect(assembleTables(store, EMPTY_TABLES).clusters.get('two')?.hosts).toHaveLength(1);
  });

  test('unchanged resources give the very same tables', () => {
    const store = filled();
    const first = assembleTables(store, EMPTY_TABLES);
    for (const type of TYPES) accept(store, type, GOOD[type], [], 'another version');
    const second = assembleTables(store, first);
    expect(second.clusters).toBe(first.clusters);
    expect(second.listeners).toBe(first.listeners);
    expect(store.versions('cds').get('a')).toBe('another version');
  });

  test('a listener may take the address of one that leaves in the same response', () => {
    const address = { socket_address: { address: '127.0.0.1', port_value: 15001 } };
    const store = new ResourceStore();
    accept(store, 'lds', bytesOf.lds(rdsListener('old', 'r', { address })));
    accept(store, 'lds', bytesOf.lds(rdsListener('new', 'r', { address })), ['old']);
    expect([...store.held('lds').keys()]).toEqual(['new']);
  });
});
