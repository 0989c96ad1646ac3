// Clusters for gRPC, whole: what is sent for each balancer, and what @grpc/grpc-js-xds makes of it. With clients that
// call in test/real/grpc-policies.test.ts.
import { register } from '@grpc/grpc-js-xds';
import { ClusterResourceType } from '@grpc/grpc-js-xds/build/src/xds-resource-type/cluster-resource-type.js';
import { describe, expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../../../model/rules.ts';
import type { TrafficRules } from '../../../../model/traffic.ts';
import { decode } from '../../../../proto/codec.ts';
import type { Cluster__Output } from '../../../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { LoadBalancingPolicy__Output } from '../../../../proto/gen/types/envoy/config/cluster/v3/LoadBalancingPolicy.ts';
import { buildGrpcCluster } from '../../../../xds-server/resources/grpc/cluster.ts';
import { MESSAGE_NAME } from '../../../../xds-server/types.ts';

type Balancer = TrafficRules['balancer'];
const HASH = { ringHash: { header: 'x-user' } };
const built = (balancer: Balancer) =>
  buildGrpcCluster('orders.default', { ...DEFAULT_RULES, traffic: { balancer } });
const cluster = (balancer: Balancer) => decode<Cluster__Output>(MESSAGE_NAME.cds, built(balancer).bytes);

/** Names of the policies, those within one in brackets behind it. */
function told(list: LoadBalancingPolicy__Output | null | undefined): readonly unknown[] {
  return (list?.policies ?? []).map(({ typed_extension_config: config }) => {
    const { type_url: url = '', value } = config?.typed_config ?? {};
    const type = url.replace('type.googleapis.com/', '');
    const message = decode<{ endpoint_picking_policy?: LoadBalancingPolicy__Output }>(
      type,
      value ?? Buffer.alloc(0),
    );
    const { endpoint_picking_policy: inner, ...rest } = message;
    return [type.split('.').at(-1), inner ? told(inner) : rest];
  });
}

describe('the list of balancers', () => {
  const roundRobin = ['RoundRobin', {}];
  const least = [['WrrLocality', [['LeastRequest', { choice_count: { value: 2 } }], roundRobin]]];
  it.each<[Balancer, string, readonly unknown[]]>([
    [
      HASH,
      'RING_HASH',
      [
        ['RingHash', { hash_function: 'XX_HASH' }],
        ['WrrLocality', [roundRobin]],
      ],
    ],
    ['leastRequest', 'ROUND_ROBIN', least],
    ['peakEwma', 'ROUND_ROBIN', least],
    ['random', 'ROUND_ROBIN', []],
    ['roundRobin', 'ROUND_ROBIN', []],
    [undefined, 'ROUND_ROBIN', []],
  ])('%j', (balancer, old, list) => {
    const { lb_policy: policy, load_balancing_policy: policies } = cluster(balancer);
    expect(policy).toBe(old);
    expect(told(policies)).toEqual(list);
  });

  it('nothing else differs', () => {
    const { load_balancing_policy: _, lb_policy: __, ...hashed } = cluster(HASH);
    const { lb_policy: ___, ...plain } = cluster(undefined);
    expect(hashed).toEqual(plain);
    expect(plain).toMatchInlineSnapshot(`
      {
        "circuit_breakers": {
          "thresholds": [
            {
              "max_requests": {
                "value": 4294967295,
              },
            },
          ],
        },
        "cluster_discovery_type": "type",
        "eds_cluster_config": {
          "eds_config": {
            "ads": {},
            "config_source_specifier": "ads",
            "resource_api_version": "V3",
          },
        },
        "lrs_server": {
          "config_source_specifier": "self",
          "self": {},
        },
        "name": "orders.default",
        "type": "EDS",
      }
    `);
  });
});

interface Judged {
  readonly error?: string;
  readonly value?: { readonly lbPolicyConfig: readonly object[] };
}

it('grpc-js takes the first that it knows', () => {
  register();
  const judge = ClusterResourceType.get() as unknown as {
    decode(context: object, resource: { readonly type_url: string; readonly value: Buffer }): Judged;
  };
  const taken = (balancer: Balancer) => {
    const { error, value } = judge.decode(
      { server: {}, bootstrap: {} },
      { type_url: `type.googleapis.com/${MESSAGE_NAME.cds}`, value: built(balancer).bytes },
    );
    expect(error).toBeUndefined();
    return value?.lbPolicyConfig;
  };
  const roundRobin = [{ xds_wrr_locality: { child_policy: [{ round_robin: {} }] } }];
  expect(taken(HASH)).toEqual([{ ring_hash: { min_ring_size: 1024, max_ring_size: 8_388_608 } }]);
  expect(taken('leastRequest')).toEqual(roundRobin);
  expect(taken(undefined)).toEqual(roundRobin);
});
