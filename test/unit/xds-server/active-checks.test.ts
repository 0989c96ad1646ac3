import { expect, test } from 'vitest';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import type { ServiceRules } from '../../../model/rules.ts';
import { APP_PORT_LABEL, HEALTH_PATH_LABEL } from '../../../model/sidecars.ts';
import { decode } from '../../../proto/codec.ts';
import type { Cluster__Output } from '../../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ClusterLoadAssignment__Output } from '../../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import { Catalogue } from '../../../xds-server/resources/catalogue.ts';
import { Groups } from '../../../xds-server/groups.ts';
import { Pairs } from '../../../xds-server/resources/active-checks.ts';
import { MESSAGE_NAME } from '../../../xds-server/types.ts';
import { endpoint, service, snapshot } from './services.ts';

const named = (at: string, path = '/health') =>
  endpoint(at, { labels: { [APP_PORT_LABEL]: '80', [HEALTH_PATH_LABEL]: path } });
const slice = (
  name: string,
  endpoints: Parameters<typeof service>[1][],
  rules: Partial<ServiceRules> = {},
) => ({
  ...service(name, ...endpoints),
  rules: { ...DEFAULT_RULES, ...rules },
});

function catalogueOf(...slices: ReturnType<typeof slice>[]) {
  const catalogue = new Catalogue((_name, error) => {
    throw error;
  });
  catalogue.update(snapshot(slices));
  const checkOf = (name: string) => {
    const bytes = catalogue.get('cds', name)?.bytes ?? Buffer.alloc(0);
    return decode<Cluster__Output>(MESSAGE_NAME.cds, bytes).health_checks?.[0]?.http_health_check;
  };
  const unchecked = (name: string) => {
    const bytes = catalogue.get('eds', name)?.bytes ?? Buffer.alloc(0);
    const { endpoints } = decode<ClusterLoadAssignment__Output>(MESSAGE_NAME.eds, bytes);
    return (endpoints ?? []).flatMap(({ lb_endpoints: all }) =>
      (all ?? []).flatMap(({ endpoint: at }) =>
        at?.health_check_config?.disable_active_health_check
          ? (at.address?.socket_address?.address ?? '')
          : [],
      ),
    );
  };
  return { catalogue, checkOf, unchecked };
}

test('callers check those that stand behind a sidecar, by the path of most of them, and no others', () => {
  const { checkOf, unchecked } = catalogueOf(
    slice('a.default', [named('10.0.0.1:1'), named('10.0.0.2:1', '/'), named('10.0.0.3:1'), '10.0.0.4:1']),
    slice('b.default', ['10.0.0.1:1']),
  );
  expect(checkOf('a.default')).toMatchObject({ path: '/health', host: 'a.default' });
  expect(unchecked('a.default')).toEqual(['10.0.0.2', '10.0.0.4']);
  expect(checkOf('b.default')).toBeUndefined();
  expect(unchecked('b.default')).toEqual([]);
});

test('`identity: strict` checks everybody; a policy may turn checks off', () => {
  const { checkOf, unchecked } = catalogueOf(
    slice('a.default', [named('10.0.0.1:1'), '10.0.0.4:1'], { identity: 'strict' }),
    slice('b.default', [named('10.0.0.1:1')], { traffic: { activeChecks: { when: 'off' } } }),
  );
  expect(checkOf('a.default')).toBeDefined();
  expect(unchecked('a.default')).toEqual([]);
  expect(checkOf('b.default')).toBeUndefined();
});

test('with too many callers only those check who have to, until there are few again', () => {
  const { catalogue, checkOf } = catalogueOf(
    slice('a.default', [named('10.0.0.1:1'), named('10.0.0.2:1')]),
    slice('b.default', [named('10.0.0.1:1')], { traffic: { activeChecks: { when: 'on' } } }),
  );
  const settle = () => catalogue.advance(Infinity);
  expect(catalogue.setCallers(3_333)).toBe(false);
  expect(checkOf('a.default')).toBeDefined();
  expect(catalogue.setCallers(3_334)).toBe(true);
  expect(settle().envoy.has('cds')).toBe(true);
  expect(catalogue.isBehind).toBe(false);
  expect(checkOf('a.default')).toBeUndefined();
  expect(checkOf('b.default')).toBeDefined();
  expect(catalogue.setCallers(2_000)).toBe(false);
  expect(catalogue.setCallers(1_000)).toBe(true);
  settle();
  expect(checkOf('a.default')).toBeDefined();
});

test('pairs are counted over all services', () => {
  const pairs = new Pairs();
  pairs.setCallers(100);
  expect(pairs.setEndpoints('a', 60)).toBe(false);
  expect(pairs.setEndpoints('b', 41)).toBe(true);
  expect(pairs.isRoom).toBe(false);
  expect(pairs.setEndpoints('b', 0)).toBe(false);
  expect(pairs.setEndpoints('a', 50)).toBe(true);
  expect([...pairs.services]).toEqual(['a']);
});

test('a data plane counts once as a caller, however many streams it has; one that only looks does not', () => {
  const { catalogue } = catalogueOf(slice('a.default', [named('10.0.0.1:1')]));
  const told: number[] = [];
  const groups = new Groups(catalogue, (callers) => told.push(callers));
  const key = {
    dialect: 'envoy',
    outbound: { host: '127.0.0.1', port: 1 },
    inbound: undefined,
    upstreams: [],
  } as const;
  const cds = groups.join(key, 'web-1');
  const eds = groups.join(key, 'web-1');
  const loadReports = groups.join(key);
  const other = groups.join(key, 'web-2');
  const grpc = groups.join({ dialect: 'grpc' }, 'grpc-1');
  expect(told).toEqual([1, 2]);
  for (const { leave } of [cds, loadReports, other, other, grpc]) leave();
  expect(told).toEqual([1, 2, 1]);
  eds.leave();
  expect(told).toEqual([1, 2, 1, 0]);
});
