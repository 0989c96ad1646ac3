import { describe, expect, it } from 'vitest';
import type { EndpointJson, ProxyJson, SourceJson } from '../../../admin/types.ts';
import { only } from '../../../cli/commands/get.ts';
import { wideColumns } from '../../../cli/output.ts';
import { paint } from '../../../cli/paint.ts';
import { table } from '../../../cli/table.ts';
import { endpointsView, proxiesView, refusals, sourcesView, typesOf } from '../../../cli/views.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

const LIVE: SourceJson = {
  name: 'consul-dc1',
  kind: 'consul',
  state: 'live',
  lastSuccess: '2026-01-02T03:04:03.000Z',
  staleSeconds: 0,
  cause: '',
  watcher: null,
  services: 3,
  endpoints: 7,
  held: 0,
  doubted: 0,
};
const STALE: SourceJson = {
  ...LIVE,
  name: 'k8s',
  state: 'stale',
  staleSeconds: 200,
  cause: 'no route to host',
};

const synced = { state: 'SYNCED', version: 'v1', error: '', resource: '' } as const;
const PROXY: ProxyJson = {
  node: 'n1',
  service: 'orders.default',
  kind: 'envoy',
  version: '1.40.0',
  connectedSince: '2026-01-02T03:03:05.000Z',
  types: {
    cds: synced,
    lds: { state: 'NACKED', version: 'v1', error: 'no filter chain', resource: 'outbound' },
    eds: { ...synced, state: 'STALE' },
    rds: { ...synced, state: 'NOT_SENT', version: '' },
  },
};

describe('columns', () => {
  it('tell a live source from a stale one', () => {
    const text = table(sourcesView(NOW).columns, [LIVE, STALE], paint(false));
    expect(text).toBe(
      'NAME         KIND     STATE   LAST-SUCCESS   STALE   SERVICES   ENDPOINTS   CAUSE\n' +
        'consul-dc1   consul   live    2s             -       3          7           -\n' +
        'k8s          consul   stale   2s             3m20s   3          7           no route to host\n',
    );
  });

  it('show each type of a proxy', () => {
    expect(table(proxiesView(NOW).columns, [PROXY], paint(false))).toBe(
      'NAME   SERVICE          CDS      LDS      EDS     RDS        AGE   VERSION        OTHERS\n' +
        'n1     orders.default   SYNCED   NACKED   STALE   NOT_SENT   60s   envoy 1.40.0   -\n',
    );
  });

  it('show what it asked for beside the usual types in one more', () => {
    const types = {
      ...PROXY.types,
      rtds: synced,
      sds: { ...synced, state: 'NOT_SENT', absent: ['a'] },
    } as const;
    const proxy = { ...PROXY, types, identity: 'spiffe://example.org/ns/default/sa/orders' };
    const { columns, wide } = proxiesView(NOW);
    expect(columns.at(-1)?.text(proxy)).toBe('rtds:SYNCED,sds:NOT_SENT');
    expect(wide.map((column) => [column.title, column.text(proxy)])).toContainEqual([
      'IDENTITY',
      proxy.identity,
    ]);
    expect(typesOf(proxy).map(({ type }) => type)).toEqual(['cds', 'lds', 'eds', 'rds', 'rtds', 'sds']);
  });

  it("give a refusal with its resource and the client's own words", () => {
    expect(refusals(PROXY)).toEqual(['lds: resource outbound: no filter chain']);
  });
});

describe('names', () => {
  it('are found whatever their case, and missed loudly', () => {
    expect(only('sources', [LIVE, STALE], 'K8S', (s) => [s.name])).toEqual([STALE]);
    expect(only('sources', [LIVE, STALE], undefined, (s) => [s.name])).toHaveLength(2);
    expect(() => only('sources', [LIVE], 'nope', (s) => [s.name])).toThrow('nope');
  });
});

describe('get endpoints -o wide', () => {
  const endpoint: EndpointJson = {
    service: 'orders.default',
    address: '10.0.0.1',
    port: 8080,
    portName: 'http',
    network: '',
    state: 'live',
    health: 'healthy',
    weight: 1,
    share: 1,
    priority: 0,
    side: '',
    sources: ['consul-dc1', 'eureka', 'zk'],
    labels: {},
    locality: { region: '', zone: '', subZone: '' },
    since: null,
    reason: 'listed by consul-dc1, eureka, zk',
  };
  const view = endpointsView(NOW);

  it('shows who vouches for an endpoint as words apart, and as one word for scripts', () => {
    expect(table(wideColumns(view), [endpoint], paint(false))).toContain('   consul-dc1 eureka zk   ');
    expect(table(view.columns, [endpoint], paint(false))).toContain('   consul-dc1,eureka,zk\n');
  });

  it('has the columns of the table first', () => {
    const titles = (columns: readonly { title: string }[]) => columns.map(({ title }) => title);
    expect(titles(wideColumns(view)).slice(0, view.columns.length)).toEqual(titles(view.columns));
  });
});
