import { describe, expect, test } from 'vitest';
import { decode, encode, packAny } from '../../../../proto/codec.ts';
import type { Cluster } from '../../../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ClusterLoadAssignment } from '../../../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { Listener } from '../../../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import { DEFAULT_BALANCING } from '../../../../proxy/balancers/types.ts';
import { compileCluster } from '../../../../proxy/xds/cluster.ts';
import { compileAssignment } from '../../../../proxy/xds/endpoints.ts';
import { compileListener } from '../../../../proxy/xds/listener.ts';
import {
  MESSAGE,
  assignment,
  edsCluster,
  host,
  listener,
  manager,
  rdsListener,
  request,
  staticCluster,
  virtualHost,
} from './fixture.ts';

const cluster = (m: Cluster) => compileCluster(decode(MESSAGE.cds, encode(MESSAGE.cds, m)));
const assigned = (m: ClusterLoadAssignment) => compileAssignment(decode(MESSAGE.eds, encode(MESSAGE.eds, m)));
const hosts = (m: ClusterLoadAssignment) => assigned(m).hosts;
const listen = (m: Listener) => compileListener(decode(MESSAGE.lds, encode(MESSAGE.lds, m)));

describe('a Cluster', () => {
  test('of type EDS asks for endpoints by its own name', () => {
    expect(cluster(edsCluster('orders.default'))).toMatchObject({
      name: 'orders.default',
      connectTimeoutMs: 1_000,
      hosts: { eds: 'orders.default' },
      balancing: DEFAULT_BALANCING,
    });
  });

  test('of type EDS asks by service_name if it has one', () => {
    const eds_cluster_config = { eds_config: { self: {} }, service_name: 'other' };
    expect(cluster(edsCluster('a', { eds_cluster_config })).hosts).toEqual({ eds: 'other' });
  });

  test('of type STATIC carries its hosts, and has the default connect timeout', () => {
    expect(cluster(staticCluster('inbound:8080', 8080))).toMatchObject({
      name: 'inbound:8080',
      connectTimeoutMs: 5_000,
      hosts: { inline: { hosts: [{ address: '127.0.0.1', port: 8080, weight: 1, status: 'available' }] } },
      balancing: DEFAULT_BALANCING,
    });
  });

  test.each<[string, Cluster, string]>([
    ['no name', edsCluster(''), 'name: empty'],
    ['another discovery type', { name: 'a', type: 'STRICT_DNS' }, 'type: STRICT_DNS is not supported'],
    [
      'EDS over something else',
      edsCluster('a', { eds_cluster_config: { eds_config: { path: '/x' } } }),
      'eds_cluster_config.eds_config.config_source_specifier: path',
    ],
    ['no timeout at all', edsCluster('a', { connect_timeout: { seconds: 0 } }), 'connect_timeout:'],
    [
      'TLS',
      edsCluster('a', { transport_socket: { name: 'tls' } }),
      'transport_socket.typed_config: tls is not supported',
    ],
    [
      'a host name in STATIC',
      { name: 'a', load_assignment: assignment('a', [host('db.local', 1)]) },
      'load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: "db.local" is not an IP address',
    ],
    [
      'another balancer than it has',
      edsCluster('a', { lb_policy: 'CLUSTER_PROVIDED' }),
      'lb_policy: CLUSTER_',
    ],
    [
      'a field that changes where traffic goes',
      edsCluster('a', { filters: [{ name: 'x' }] }),
      'filters: not',
    ],
    ['STATIC without hosts', { name: 'a', type: 'STATIC' }, 'load_assignment: missing'],
  ])('with %s is refused by field', (_, message, text) => {
    expect(() => cluster(message)).toThrow(text);
  });
});

describe('a ClusterLoadAssignment', () => {
  test('maps health, weight and IPv6, and counts an address once', () => {
    const message = assignment('a', [
      host('10.0.0.1', 80, { load_balancing_weight: { value: 7 } }),
      host('::1', 81, { health_status: 'HEALTHY' }),
      host('10.0.0.3', 80, { health_status: 'DEGRADED' }),
      host('10.0.0.4', 80, { health_status: 'UNHEALTHY' }),
      host('10.0.0.5', 80, { health_status: 'TIMEOUT' }),
      host('10.0.0.6', 80, { health_status: 'DRAINING' }),
      host('10.0.0.1', 80, { load_balancing_weight: { value: 9 } }),
    ]);
    expect(hosts(message).map((h) => [h.address, h.weight, h.status])).toEqual([
      ['10.0.0.1', 7, 'available'],
      ['::1', 1, 'available'],
      ['10.0.0.3', 1, 'degraded'],
      ['10.0.0.4', 1, 'unhealthy'],
      ['10.0.0.5', 1, 'unhealthy'],
      ['10.0.0.6', 1, 'draining'],
    ]);
  });

  test('carries priority, locality with its weight, host name, labels and policy', () => {
    const place = {
      locality: { region: 'eu', zone: 'a', sub_zone: 's' },
      load_balancing_weight: { value: 3 },
    };
    const labels = { filter_metadata: { 'envoy.lb': { fields: { version: { stringValue: '2' } } } } };
    const endpoint = {
      address: { socket_address: { address: '2001:DB8::0:1', port_value: 80 } },
      hostname: 'h',
    };
    const message: ClusterLoadAssignment = {
      cluster_name: 'a',
      policy: { overprovisioning_factor: { value: 200 }, weighted_priority_health: true },
      endpoints: [
        { ...place, lb_endpoints: [{ endpoint, metadata: labels }] },
        { ...place, priority: 1, load_balancing_weight: { value: 4 }, lb_endpoints: [host('10.0.0.1', 80)] },
        { ...place, priority: 1, load_balancing_weight: { value: 5 }, lb_endpoints: [host('10.0.0.2', 80)] },
        { lb_endpoints: [host('10.0.0.1', 80)] },
      ],
    };
    const name = 'eu\0a\0s';
    expect(assigned(message)).toEqual({
      overprovisioning: 200,
      weightedHealth: true,
      hosts: [
        {
          address: '2001:db8::1',
          port: 80,
          weight: 1,
          status: 'available',
          hostname: 'h',
          labels: [['version', '"2"']],
          locality: { name, weight: 3 },
        },
        {
          address: '10.0.0.1',
          port: 80,
          weight: 1,
          status: 'available',
          priority: 1,
          locality: { name, weight: 5 },
        },
        {
          address: '10.0.0.2',
          port: 80,
          weight: 1,
          status: 'available',
          priority: 1,
          locality: { name, weight: 5 },
        },
        { address: '10.0.0.1', port: 80, weight: 1, status: 'available' },
      ],
    });
  });

  test.each<[string, Partial<ClusterLoadAssignment>, string]>([
    ['drops', { policy: { drop_overloads: [{ category: 'x' }] } }, 'policy.drop_overloads: not supported'],
    ['an age', { policy: { endpoint_stale_after: { seconds: 1 } } }, 'policy.endpoint_stale_after: not'],
    ['named endpoints', { named_endpoints: { x: {} } }, 'named_endpoints: not supported'],
    [
      'a priority beyond the API',
      { endpoints: [{ priority: 129 }] },
      'endpoints[0].priority: 129 is above 128',
    ],
    [
      'more addresses per host',
      {
        endpoints: [
          { lb_endpoints: [{ endpoint: { ...host('10.0.0.1', 1).endpoint, additional_addresses: [{}] } }] },
        ],
      },
      'endpoints[0].lb_endpoints[0].endpoint.additional_addresses: not supported',
    ],
  ])('with %s is refused by field', (_, more, text) => {
    expect(() => assigned({ cluster_name: 'a', ...more })).toThrow(text);
  });

  test('may be empty', () => {
    expect(hosts({ cluster_name: 'a' })).toEqual([]);
  });

  test.each<[string, Parameters<typeof host>[2], string]>([
    ['no address', { endpoint: {} }, 'endpoint.address.socket_address: missing'],
    ['a pipe', { endpoint: { address: { pipe: { path: '/x' } } } }, 'address is pipe'],
    ['no endpoint', { endpoint: null }, 'endpoint: missing'],
    ['its name alone', { endpoint: null, endpoint_name: 'x' }, 'endpoint_name: not supported'],
  ])('with %s is refused by field', (_, more, text) => {
    expect(() => hosts(assignment('a', [host('10.0.0.1', 80, more)]))).toThrow(text);
  });

  test('with port 0 is refused', () => {
    expect(() => hosts(assignment('a', [host('10.0.0.1', 0)]))).toThrow('port_value: must be 1…65535');
  });
});

describe('a Listener', () => {
  test('with RDS', () => {
    const address = { socket_address: { address: '127.0.0.1', port_value: 15001 } };
    expect(listen(rdsListener('outbound', 'outbound', { address }))).toMatchObject({
      name: 'outbound',
      address: '127.0.0.1',
      port: 15001,
      direction: 'outbound',
      routes: { rds: 'outbound' },
    });
  });

  test('with inline routes', () => {
    const route_config = { virtual_hosts: [virtualHost('inbound:8080', ['*'])] };
    const compiled = listen(listener('inbound', manager({ route_config }), { traffic_direction: 'INBOUND' }));
    const { direction } = compiled;
    const found =
      'routes' in compiled && 'inline' in compiled.routes
        ? compiled.routes.inline.lookup(request('anything'))
        : undefined;
    expect(found).toMatchObject({ cluster: 'inbound:8080', timeoutMs: 0, retry: { retries: 2 } });
    expect(direction).toBe('inbound');
  });

  const chain = listener('a', manager({})).filter_chains ?? [];
  const rbac = packAny('envoy.config.route.v3.Route', {});
  test.each<[string, Listener, string]>([
    ['no name', rdsListener('', 'r'), 'name: empty'],
    [
      'a bad address',
      rdsListener('a', 'r', { address: { socket_address: { address: 'here', port_value: 1 } } }),
      'address.socket_address.address: "here"',
    ],
    [
      'a port too high',
      rdsListener('a', 'r', { address: { socket_address: { address: '::', port_value: 70_000 } } }),
      'port_value: 70000',
    ],
    [
      'a pipe',
      rdsListener('a', 'r', { address: { pipe: { path: '/x' } } }),
      'address.socket_address: missing (address is pipe)',
    ],
    ['no filter chain', rdsListener('a', 'r', { filter_chains: [] }), 'filter_chains: empty'],
    [
      'two filter chains',
      rdsListener('a', 'r', { filter_chains: [...chain, ...chain] }),
      'filter_chains: two for the same',
    ],
    [
      'another network filter',
      rdsListener('a', 'r', { filter_chains: [{ filters: [{ name: 'x', typed_config: rbac }] }] }),
      'filter_chains[0].filters[0].typed_config: type.googleapis.com/envoy.config.route',
    ],
    [
      'TLS',
      rdsListener('a', 'r', { filter_chains: [{ ...chain[0], transport_socket: { name: 'tls' } }] }),
      'filter_chains[0].transport_socket.typed_config: tls',
    ],
    [
      'an unknown HTTP filter',
      listener('a', manager({ http_filters: [{ name: 'guard', typed_config: rbac }] })),
      'http_filters[0].typed_config:',
    ],
    ['no routes', listener('a', manager({})), 'route_specifier: missing'],
    ['RDS without a name', rdsListener('a', ''), 'rds.route_config_name: empty'],
    [
      'RDS over something else',
      listener('a', manager({ rds: { config_source: { path: '/x' } } })),
      'rds.config_source.config_source_specifier: path',
    ],
    [
      'bad inline routes',
      listener('a', manager({ route_config: { virtual_hosts: [virtualHost('a', [])] } })),
      'route_config.virtual_hosts[0].domains: empty',
    ],
  ])('with %s is refused by field', (_, message, text) => {
    expect(() => listen(message)).toThrow(text);
  });
});
