// The cases behind test/golden: what sources say, and the node that asks. Each becomes one file with every
// resource that this node sees.
import { DEFAULT_RULES } from '../../../model/rules.ts';
import type { EndpointMark } from '../../../model/shard.ts';
import { APP_PORT_LABEL, HEALTH_PATH_LABEL } from '../../../model/sidecars.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import type { Json } from '../../../proto/json.ts';
import { toJson } from '../../../proto/json.ts';
import type { EncodedResource } from '../../../xds-server/resource.ts';
import { Catalogue } from '../../../xds-server/resources/catalogue.ts';
import { MESSAGE_NAME, PUSH_ORDER } from '../../../xds-server/types.ts';
import { viewOf } from '../../../xds-server/view.ts';
import type { GroupKey } from '../../../xds-server/view.ts';
import { endpoint, fromSources, group, service, snapshot } from './services.ts';

interface GoldenCase {
  readonly services: readonly ServiceShards[];
  readonly node?: GroupKey;
}

const OUTBOUND_ONLY = {
  dialect: 'envoy',
  outbound: { host: '127.0.0.1', port: 15_001 },
  inbound: undefined,
  upstreams: [],
} satisfies GroupKey;
const ORDERS = 'orders.default';

const behindSidecar = (at: string, path: string) =>
  endpoint(at, { health: 'unknown', labels: { [APP_PORT_LABEL]: '8080', [HEALTH_PATH_LABEL]: path } });

/** Three endpoints in Consul, three in Kubernetes in two zones, one of them in both. */
const TWO_SOURCES = fromSources(
  ['consul', group(ORDERS, { endpoints: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'] })],
  [
    'k8s',
    group(ORDERS, {
      ports: [
        { name: 'http', port: 80, protocol: 'http' },
        { name: 'grpc', port: 9090, protocol: 'grpc' },
      ],
      primaryPort: 'http',
      endpoints: [
        endpoint('10.0.0.3:80', { portName: 'http' }),
        ...['z1', 'z1', 'z2'].map((zone, i) =>
          endpoint(`10.1.0.${i + 1}:80`, {
            portName: 'http',
            locality: { region: 'eu', zone, subZone: i === 0 ? 'rack-1' : '' },
          }),
        ),
        endpoint('10.1.0.1:9090', { portName: 'grpc' }),
      ],
    }),
  ],
);

export const GOLDEN_CASES: Readonly<Record<string, GoldenCase>> = {
  'plain-service': { services: [service(ORDERS, '10.0.0.1:8080', '10.0.0.2:8080')] },
  'nothing-known': { services: [] },
  'empty-service': { services: [service(ORDERS)] },
  'two-sources-one-shared-address': {
    services: [
      fromSources(
        [
          'consul',
          group(ORDERS, { aliases: ['orders.service.consul'], endpoints: ['10.0.0.1:80', '10.0.0.2:80'] }),
        ],
        [
          'k8s',
          group(ORDERS, {
            aliases: ['orders.default.svc', 'orders.default.svc.cluster.local'],
            ports: [{ name: 'http', port: 80, protocol: 'http' }],
            primaryPort: 'http',
            endpoints: [
              endpoint('10.0.0.2:80', { portName: 'http', weight: 9 }),
              endpoint('10.0.0.3:80', { portName: 'http' }),
            ],
          }),
        ],
      ),
    ],
  },
  'several-ports': {
    services: [
      fromSources([
        'k8s',
        group('shop.prod', {
          ports: [
            { name: 'http', port: 80, protocol: 'http' },
            { name: 'grpc', port: 9090, protocol: 'grpc' },
            { name: 'h2', port: 8443, protocol: 'http2' },
            { name: 'db', port: 5432, protocol: 'tcp' },
          ],
          primaryPort: 'http',
          endpoints: [
            endpoint('10.0.1.1:8080', { portName: 'http' }),
            endpoint('10.0.1.1:9090', { portName: 'grpc' }),
            endpoint('10.0.1.1:8443', { portName: 'h2' }),
            endpoint('10.0.1.1:5432', { portName: 'db' }),
          ],
        }),
      ]),
    ],
  },
  zones: {
    services: [
      service(
        ORDERS,
        ...['z1', 'z2', 'z1'].map((zone, i) =>
          endpoint(`10.0.2.${i + 1}:80`, {
            weight: i + 1,
            locality: { region: 'eu', zone, subZone: `rack-${i}` },
          }),
        ),
        endpoint('10.0.2.9:80'),
      ),
    ],
  },
  'health-and-weight': {
    services: [
      service(
        ORDERS,
        ...(['healthy', 'unhealthy', 'draining', 'degraded', 'unknown'] as const).map((health, i) =>
          endpoint(`10.0.3.${i + 1}:80`, { health, weight: 10 }),
        ),
        endpoint('10.0.3.8:80', { weight: 0 }),
        endpoint('10.0.3.9:80', { weight: Number.MAX_SAFE_INTEGER }),
      ),
    ],
  },
  ipv6: { services: [service(ORDERS, '[2001:db8::1]:8080', '[::1]:8081', '10.0.0.1:8080')] },
  'aliases-collide': {
    services: [
      fromSources([
        'a',
        group(ORDERS, { aliases: ['ORDERS', 'shared', 'users'], endpoints: ['10.0.0.1:80'] }),
      ]),
      fromSources([
        'b',
        group('users.default', { aliases: ['shared', 'bad name'], endpoints: ['10.0.0.2:80'] }),
      ]),
      fromSources(['b', group('orders.prod', { aliases: ['orders'], endpoints: ['10.0.0.3:80'] })]),
    ],
  },
  'host-names': {
    services: [
      service(
        ORDERS,
        endpoint('10.0.0.1:80', { hostname: 'orders.example.com' }),
        endpoint('[2001:db8::1]:80', { hostname: 'orders.example.com' }),
        endpoint('unresolved.example.com:80', { hostname: 'unresolved.example.com' }),
      ),
    ],
  },
  'policy-prefer': {
    services: [{ ...TWO_SOURCES, rules: { ...DEFAULT_RULES, policy: { kind: 'prefer', sources: ['k8s'] } } }],
  },
  'policy-weighted': {
    services: [
      {
        ...TWO_SOURCES,
        rules: { ...DEFAULT_RULES, policy: { kind: 'weighted', shares: { consul: 90, k8s: 10 } } },
      },
    ],
  },
  'policy-weighted-zero': {
    services: [
      {
        ...TWO_SOURCES,
        rules: { ...DEFAULT_RULES, policy: { kind: 'weighted', shares: { consul: 1, k8s: 0 } } },
      },
    ],
  },
  'policy-peak-ewma': {
    services: [
      { ...TWO_SOURCES, rules: { ...DEFAULT_RULES, traffic: { balancer: 'peakEwma' } } },
      {
        ...service('carts.default', '10.0.0.9:80'),
        rules: {
          ...DEFAULT_RULES,
          policy: { kind: 'weighted', shares: { consul: 90, k8s: 10 } },
          traffic: { balancer: 'peakEwma' },
        },
      },
    ],
  },
  'policy-isolate': {
    services: [{ ...TWO_SOURCES, rules: { ...DEFAULT_RULES, policy: { kind: 'isolate' } } }],
  },
  'policy-traffic': {
    services: [
      {
        ...TWO_SOURCES,
        rules: {
          ...DEFAULT_RULES,
          pin: true,
          traffic: {
            timeoutMs: 1_500,
            retries: { attempts: 3, perTryMs: 250, hedge: true, on: ['5xx', 'reset'], statusCodes: [429] },
            balancer: { ringHash: { header: 'X-User' } },
            outlier: {
              consecutive5xx: 4,
              consecutiveGateway: 3,
              intervalMs: 5_000,
              baseEjectionMs: 15_000,
              maxEjectionPercent: 50,
            },
            pool: {
              connectTimeoutMs: 250,
              idleMs: 60_000,
              maxConnections: 100,
              maxPending: 50,
              maxRequests: 200,
              maxRetries: 5,
              maxRequestsPerConnection: 1_000,
              keepAliveMs: 30_000,
            },
            breaker: {
              failureRate: {
                minSuccessPercent: 90,
                windowMs: 20_000,
                minRequestsPerSecond: 5,
                maxRejectPercent: 75,
                aggression: 1.5,
              },
            },
          },
        },
      },
    ],
  },
  'policy-pin': { services: [{ ...TWO_SOURCES, rules: { ...DEFAULT_RULES, pin: true } }] },
  'doubted-and-quarantined': {
    services: [
      {
        ...TWO_SOURCES,
        rules: { ...DEFAULT_RULES, panicThreshold: 25 },
        shards: new Map(
          [...TWO_SOURCES.shards].map(([source, shard]) => [
            source,
            {
              ...shard,
              marks: new Map<string, EndpointMark>([
                ['10.0.0.2:80', { doubted: { since: 1, cause: 'removed-at-once' } }],
                ['10.1.0.1:80', { quarantined: { since: 1, answeredAs: 'users.default' } }],
                ['10.1.0.2:80', { warmUp: 1 / 3 }],
              ]),
            },
          ]),
        ),
      },
    ],
  },
  'identity-strict': {
    services: [
      {
        ...TWO_SOURCES,
        rules: { ...DEFAULT_RULES, identity: 'strict' },
        conflicts: new Map([['10.0.0.1:80', ['users.default']]]),
      },
    ],
  },
  'behind-sidecars': {
    services: [
      fromSources(
        ['consul', group(ORDERS, { endpoints: ['10.0.0.1:8080', '10.0.0.2:8080'] })],
        [
          'sidecars',
          group(ORDERS, {
            endpoints: [
              behindSidecar('10.0.0.1:15006', '/health'),
              behindSidecar('10.0.0.3:15006', '/health'),
              behindSidecar('10.0.0.4:15006', '/other'),
            ],
          }),
        ],
      ),
    ],
  },
  'inbound-and-outbound': {
    services: [service(ORDERS, '10.0.0.1:8080')],
    node: {
      dialect: 'envoy',
      outbound: { host: '::1', port: 15_001 },
      inbound: { host: '0.0.0.0', port: 15_006, appPort: 8_080, service: ORDERS },
      upstreams: [],
    },
  },
  'breaker-by-latency': {
    services: [
      {
        ...service(ORDERS, '10.0.0.1:8080'),
        rules: {
          ...DEFAULT_RULES,
          traffic: {
            breaker: {
              latency: {
                percentile: 90,
                intervalMs: 250,
                maxConcurrency: 200,
                minConcurrency: 5,
                baselineMs: 90_000,
                baselineRequests: 30,
                jitterPercent: 10,
                bufferPercent: 20,
              },
            },
          },
        },
      },
      {
        ...service('carts.default', '10.0.0.1:8081'),
        rules: { ...DEFAULT_RULES, traffic: { breaker: { latency: {} } } },
      },
    ],
    node: {
      dialect: 'envoy',
      outbound: { host: '127.0.0.1', port: 15_001 },
      inbound: { host: '0.0.0.0', port: 15_006, appPort: 8_080, service: ORDERS },
      further: [{ host: '0.0.0.0', port: 15_016, appPort: 8_081, service: 'carts.default' }],
      upstreams: [],
    },
  },
  'access-log': { services: [], node: { ...OUTBOUND_ONLY, accessLog: 'xds' } },
  'tcp-upstreams': {
    services: [
      service('db.default', '10.0.0.1:5432'),
      fromSources([
        'k8s',
        group('cache.shop', {
          ports: [
            { name: 'redis', port: 6_379, protocol: 'tcp' },
            { name: 'http', port: 80, protocol: 'http' },
          ],
          primaryPort: 'http',
          endpoints: [endpoint('10.1.0.1:6379', { portName: 'redis' })],
        }),
      ]),
    ],
    node: {
      ...OUTBOUND_ONLY,
      upstreams: [
        { cluster: 'cache.shop:redis', host: '127.0.0.1', port: 6_379 },
        { cluster: 'db.default', host: '127.0.0.1', port: 5_432 },
      ],
    },
  },
};

/** Resources by type, each list sorted by name, in the JSON that Envoy reads. */
export function goldenOf(golden: GoldenCase): Json {
  const resources = resourcesOf(golden);
  return Object.fromEntries(
    PUSH_ORDER.map((type) => [
      type,
      resources.filter((one) => one.type === type).map(({ bytes }) => toJson(MESSAGE_NAME[type], bytes)),
    ]),
  );
}

/** All that the node sees, by type and name. */
export function resourcesOf({ services, node = OUTBOUND_ONLY }: GoldenCase): readonly EncodedResource[] {
  const catalogue = new Catalogue((name, error) => {
    throw new Error(`${name}: ${error.message}`);
  });
  catalogue.update(snapshot(services));
  const view = viewOf(catalogue, node, undefined, 2.5);
  return PUSH_ORDER.flatMap((type) =>
    [...view.names(type)].sort().flatMap((name) => view.get(type, name) ?? []),
  );
}
