import { describe, expect, test } from 'vitest';
import { encode } from '../../../../proto/codec.ts';
import type { TcpProxy } from '../../../../proto/gen/types/envoy/extensions/filters/network/tcp_proxy/v3/TcpProxy.ts';
import { TCP_PROXY, compileTcpProxy } from '../../../../proxy/xds/tcp-proxy.ts';

const compile = (message: TcpProxy) => compileTcpProxy(encode(TCP_PROXY, { stat_prefix: 'db', ...message }));

describe('a TcpProxy', () => {
  test('with one cluster has the defaults of Envoy', () => {
    expect(compile({ cluster: 'db.default' })).toEqual({
      targets: [{ cluster: 'db.default', weight: 1, subset: '' }],
      idleMs: 3_600_000,
      maxMs: 0,
      connectAttempts: 1,
      hashClient: false,
      statPrefix: 'db',
    });
  });

  test('with everything it may say', () => {
    const clusters = [
      { name: 'a', weight: 3 },
      { name: 'b', weight: 1 },
    ];
    expect(
      compile({
        weighted_clusters: { clusters },
        idle_timeout: { seconds: 0 },
        max_downstream_connection_duration: { seconds: 60 },
        max_connect_attempts: { value: 3 },
        hash_policy: [{ source_ip: {} }],
      }),
    ).toEqual({
      targets: [
        { cluster: 'a', weight: 3, subset: '' },
        { cluster: 'b', weight: 1, subset: '' },
      ],
      idleMs: 0,
      maxMs: 60_000,
      connectAttempts: 3,
      hashClient: true,
      statPrefix: 'db',
    });
  });

  test.each<[string, TcpProxy, string]>([
    ['no cluster', {}, 'cluster_specifier: missing'],
    [
      'a weight of nothing',
      { weighted_clusters: { clusters: [{ name: 'a' }] } },
      'weighted_clusters.clusters[0].weight: 0',
    ],
    [
      'a cluster without a name',
      { weighted_clusters: { clusters: [{ weight: 1 }] } },
      'weighted_clusters.clusters[0].name: empty',
    ],
    ['tunneling', { cluster: 'a', tunneling_config: { hostname: 'x:1' } }, 'tunneling_config: not supported'],
    [
      'a hash of filter state',
      { cluster: 'a', hash_policy: [{ filter_state: { key: 'x' } }] },
      'hash_policy[0]: filter_state',
    ],
  ])('with %s is refused by field', (_, message, text) => {
    expect(() => compile(message)).toThrow(text);
  });

  test('that cannot be decoded is refused', () => {
    expect(() => compileTcpProxy(Buffer.from([0xff]))).toThrow('value: cannot be decoded');
  });
});
