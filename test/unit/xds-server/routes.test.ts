// The outbound route configuration, put together from parts: the same bytes as the whole message in one go.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TrafficRules } from '../../../model/traffic.ts';
import { encode, packAny } from '../../../proto/codec.ts';
import type { ClusterAuthorities } from '../../../xds-server/resources/authorities.ts';
import { RouteTable } from '../../../xds-server/resources/route-table.ts';
import { routeAction } from '../../../xds-server/resources/policy.ts';
import { SERVICE_HEADER } from '../../../xds-server/resources/routes.ts';

const ROUTES = 'envoy.config.route.v3.RouteConfiguration';

interface Step {
  readonly service: string;
  /** Ports that it has; none: it is gone. */
  readonly ports: readonly string[];
  readonly named: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  service: fc.integer({ min: 0, max: 30 }).map((n) => `svc-${n}.default`),
  ports: fc.subarray(['', 'grpc', `long-${'x'.repeat(200)}`]),
  named: fc.boolean(),
});

/** Sorted by cluster, as the authorities of a service are. */
function clustersOf({ service, ports, named }: Step): ClusterAuthorities[] {
  return ports.map((port) => {
    const cluster = port === '' ? service : `${service}:${port}`;
    const short = named && port === '' ? [service.replace('.default', '')] : [];
    const domains = short.length === 0 ? [] : [...short, service];
    return { cluster, domains, headers: [...short, cluster] };
  });
}

const serviceOf = (cluster: string): string => cluster.replace(/:.*/, '');

const TRAFFIC: TrafficRules = {
  timeoutMs: 1_500,
  retries: { attempts: 3, perTryMs: 250, on: ['5xx'], statusCodes: [429] },
  balancer: { ringHash: { header: 'X-User' } },
};
/** Of one in three services. */
const trafficOf = (service: string): TrafficRules | undefined =>
  Number(/\d+/.exec(service)?.[0] ?? 1) % 3 === 0 ? TRAFFIC : undefined;

function atOnce(clusters: readonly ClusterAuthorities[]): Buffer {
  const routeTo = (cluster: string) => ({
    match: { prefix: '/' },
    route: { cluster, ...routeAction(trafficOf(serviceOf(cluster))) },
    request_headers_to_add: [
      {
        header: { key: SERVICE_HEADER, value: serviceOf(cluster) },
        append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
      },
    ],
  });
  const map = Object.fromEntries(
    clusters.flatMap(({ cluster, headers }) =>
      headers.map((header) => [
        header,
        {
          action: {
            name: cluster,
            typed_config: packAny('envoy.config.route.v3.Route', routeTo(cluster)),
          },
        },
      ]),
    ),
  );
  const lookUp = (header: string) => ({
    input: {
      name: header,
      typed_config: packAny('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', { header_name: header }),
    },
    exact_match_map: { map },
  });
  const hosts = clusters.filter(({ domains }) => domains.length > 0);
  const any = {
    name: '*',
    domains: ['*'],
    matcher: {
      matcher_tree: lookUp('service'),
      on_no_match: { matcher: { matcher_tree: lookUp('servicename') } },
    },
  };
  return encode(ROUTES, {
    name: 'outbound',
    virtual_hosts: [
      ...hosts.map(({ cluster, domains }) => ({ name: cluster, domains, routes: [routeTo(cluster)] })),
      ...(Object.keys(map).length === 0 ? [] : [any]),
    ],
  });
}

function tableOf(steps: readonly Step[]): RouteTable {
  const table = new RouteTable();
  for (const each of steps) table.set(each.service, clustersOf(each), trafficOf(each.service));
  return table;
}

describe('the outbound routes', () => {
  it('are the bytes that protobufjs gives them, whatever came and went before', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const last = new Map(steps.map((each) => [each.service, each]));
        const sorted = [...last.values()].sort((a, b) => (a.service < b.service ? -1 : 1));
        const resource = tableOf(steps).resource();
        expect(resource.bytes.toString('hex')).toBe(atOnce(sorted.flatMap(clustersOf)).toString('hex'));
        expect(resource.version).toBe(tableOf(sorted).resource().version);
        expect(resource.delta.includes(resource.sotw)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('have a version that is another one for other bytes, and say whether something changed', () => {
    const orders = { service: 'orders.default', ports: [''], named: true };
    const table = tableOf([orders]);
    const before = table.resource();
    expect(table.set('orders.default', clustersOf(orders), undefined)).toBe(false);
    expect(table.resource().version).toBe(before.version);
    expect(table.set('orders.default', clustersOf(orders), TRAFFIC)).toBe(true);
    expect(table.resource().bytes.includes('x-user')).toBe(true);
    expect(table.set('orders.default', clustersOf({ ...orders, named: false }), undefined)).toBe(true);
    expect(table.resource().version).not.toBe(before.version);
    expect(table.set('orders.default', [], undefined)).toBe(true);
    expect(table.set('orders.default', [], undefined)).toBe(false);
    expect(table.resource().version).toBe(new RouteTable().resource().version);
    expect(before.bytes.includes('orders.default')).toBe(true);
  });

  it('send copies to what one source alone offers, and none of what is meant for one source', () => {
    const table = new RouteTable();
    const clusters = ['orders.default', 'orders.default@old'].map((cluster) => ({
      cluster,
      domains: [],
      headers: [cluster],
    }));
    table.set('orders.default', clusters, { mirror: { source: 'new', percent: 2.5 } });
    const text = table.resource().bytes.toString('latin1');
    // Once for each of the headers that may name a service.
    expect(text.split('orders.default@new').length - 1).toBe(2);
    expect(text).not.toContain('orders.default@old@');
    const action = encode('envoy.config.route.v3.RouteAction', {
      request_mirror_policies: [
        {
          cluster: 'orders.default@new',
          runtime_fraction: { default_value: { numerator: 25_000, denominator: 'MILLION' } },
          disable_shadow_host_suffix_append: true,
        },
      ],
    });
    expect(text).toContain(action.toString('latin1'));
  });
});
