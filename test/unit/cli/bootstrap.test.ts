import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CLUSTER_NAME_REGEX, envoyBootstrap } from '../../../cli/bootstrap/envoy.ts';
import type { BootstrapOptions } from '../../../cli/bootstrap/envoy.ts';
import { grpcBootstrap } from '../../../cli/bootstrap/grpc.ts';
import { bootstrap } from '../../../cli/commands/bootstrap.ts';
import type { BootstrapFlags } from '../../../cli/commands/bootstrap.ts';

const OPTIONS: BootstrapOptions = {
  service: 'orders.default',
  nodeId: 'n1',
  xds: '127.0.0.1:15010',
  adminPort: 15_000,
  locality: { region: '', zone: '', subZone: '' },
};

const FLAGS: BootstrapFlags = {
  service: 'orders',
  xds: '127.0.0.1:15010',
  adminPort: '15000',
  region: '',
  zone: '',
  subZone: '',
};

describe('the Envoy bootstrap', () => {
  it('says who the node is', () => {
    expect(
      envoyBootstrap({
        ...OPTIONS,
        appPort: 8080,
        inbound: '0.0.0.0:15006',
        locality: { region: 'eu', zone: 'a', subZone: '' },
      }),
    ).toMatchObject({
      node: {
        id: 'n1',
        cluster: 'orders.default',
        locality: { region: 'eu', zone: 'a' },
        metadata: {
          isthmus: {
            service: 'orders.default',
            accessLog: 'isthmus_xds',
            appPort: 8080,
            inbound: '0.0.0.0:15006',
          },
        },
      },
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: 15_000 } } },
    });
    expect(envoyBootstrap(OPTIONS)['node']).toEqual({
      id: 'n1',
      cluster: 'orders.default',
      metadata: { isthmus: { service: 'orders.default', accessLog: 'isthmus_xds' } },
    });
  });

  it('reports its load to the control plane', () => {
    expect(envoyBootstrap(OPTIONS)['cluster_manager']).toMatchObject({
      load_stats_config: {
        api_type: 'GRPC',
        grpc_services: [{ envoy_grpc: { cluster_name: 'isthmus_xds' } }],
      },
    });
  });

  it('asks for the runtime layer of all and for that of its service, below what its admin port sets', () => {
    const { layers } = envoyBootstrap(OPTIONS)['layered_runtime'] as {
      readonly layers: readonly { readonly name: string; readonly rtds_layer?: { readonly name: string } }[];
    };
    expect(layers.map(({ name, rtds_layer: layer }) => [name, layer?.name])).toEqual([
      ['isthmus', 'isthmus'],
      ['orders.default', 'orders.default'],
      ['admin', undefined],
    ]);
  });

  it('speaks incremental ADS, v3', () => {
    expect(envoyBootstrap(OPTIONS)['dynamic_resources']).toMatchObject({
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
      },
      cds_config: { resource_api_version: 'V3', ads: {} },
      lds_config: { resource_api_version: 'V3', ads: {} },
    });
  });

  it.each([
    ['127.0.0.1:15010', 'STATIC', '127.0.0.1', 15_010],
    ['[::1]:15010', 'STATIC', '::1', 15_010],
    ['isthmus.mesh:15010', 'STRICT_DNS', 'isthmus.mesh', 15_010],
  ])('finds the control plane at %s', (xds, type, address, port) => {
    const cluster = {
      type,
      load_assignment: {
        endpoints: [
          { lb_endpoints: [{ endpoint: { address: { socket_address: { address, port_value: port } } } }] },
        ],
      },
    };
    expect(envoyBootstrap({ ...OPTIONS, xds })['static_resources']).toMatchObject({ clusters: [cluster] });
  });

  it('knows all replicas of the control plane, and leaves one alone that does not answer', () => {
    const xds = '10.0.0.1:15010,10.0.0.2:15010';
    const [cluster] = (envoyBootstrap({ ...OPTIONS, xds })['static_resources'] as { clusters: unknown[] })
      .clusters;
    expect(cluster).toMatchObject({
      type: 'STATIC',
      load_assignment: {
        endpoints: [
          {
            lb_endpoints: ['10.0.0.1', '10.0.0.2'].map((address) => ({
              endpoint: { address: { socket_address: { address, port_value: 15_010 } } },
            })),
          },
        ],
      },
      outlier_detection: { consecutive_5xx: 1, max_ejection_percent: 50 },
    });
    const named = envoyBootstrap({ ...OPTIONS, xds: '10.0.0.1:15010,isthmus.mesh:15010' });
    expect(named['static_resources']).toMatchObject({ clusters: [{ type: 'STRICT_DNS' }] });
    expect(grpcBootstrap({ ...OPTIONS, xds: 'a.mesh:15010,[::1]:15011' })['xds_servers']).toMatchObject([
      { server_uri: 'a.mesh:15010' },
      { server_uri: '[::1]:15011' },
    ]);
  });

  it('refuses an address that leads nowhere', () => {
    expect(() => envoyBootstrap({ ...OPTIONS, xds: ':15010' })).toThrow('--xds');
  });
});

describe('the tag of cluster names', () => {
  const regex = new RegExp(CLUSTER_NAME_REGEX);
  it.each([
    ['cluster.orders.default.upstream_rq_total', 'orders.default'],
    ['cluster.orders.default_grpc.upstream_rq_total', 'orders.default_grpc'],
    ['cluster.a.b.default.membership_total', 'a.b.default'],
    ['cluster.orders.external.upstream_rq_200', 'orders.external'],
    ['cluster.orders.external.external.upstream_rq_200', 'orders.external'],
    ['cluster.orders.default.default.total_match_count', 'orders.default'],
    ['cluster.orders.default.circuit_breakers.default.cx_open', 'orders.default'],
    ['cluster.orders.default/v1.2.lb_healthy_panic', 'orders.default/v1.2'],
    ['cluster.orders.default@consul-dc1.update_success', 'orders.default@consul-dc1'],
    ['cluster.inbound_8080.external.upstream_rq_200', 'inbound_8080'],
    ['cluster.isthmus_xds.http2.keepalive_timeout', 'isthmus_xds'],
  ])('%s → %s', (stat, name) => {
    expect(regex.exec(stat)?.[2]).toBe(name);
  });

  it('leaves the cluster manager alone', () => {
    expect(regex.test('cluster_manager.cluster_added')).toBe(false);
  });
});

describe('isthmus bootstrap envoy', () => {
  afterEach(() => vi.restoreAllMocks());

  function printed(flags: Partial<BootstrapFlags>): string {
    let text = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
      text += String(chunk);
      return true;
    });
    bootstrap('envoy', { ...FLAGS, ...flags });
    vi.restoreAllMocks();
    return text;
  }

  it('quotes what YAML 1.1 would take for a boolean or a number', () => {
    const text = printed({ zone: 'no', nodeId: 'y', region: '12:30' });
    expect(parse(text, { version: '1.1' })).toMatchObject({
      node: { id: 'y', locality: { zone: 'no', region: '12:30' } },
    });
  });

  it('tells where services are reached over TCP, by their clusters', () => {
    const upstream = ['Cache:redis=127.0.0.1:6379', 'db.shop=127.0.0.1:5432'];
    expect(parse(printed({ upstream }))).toMatchObject({
      node: {
        metadata: {
          isthmus: {
            upstreams: [
              { service: 'cache.default:redis', listen: '127.0.0.1:6379' },
              { service: 'db.shop', listen: '127.0.0.1:5432' },
            ],
          },
        },
      },
    });
  });

  it('names the node by service and host', () => {
    expect(parse(printed({}))).toMatchObject({ node: { id: expect.stringMatching(/^orders\.default~./) } });
  });

  it('names two of one service on one machine differently, since they take calls at different ports', () => {
    const idOf = (inbound: string) => {
      const { node } = parse(printed({ port: '8080', inbound })) as { node: { id: string } };
      return node.id;
    };
    const [usual, other] = [idOf('0.0.0.0:15006'), idOf('0.0.0.0:15016')];
    expect(other).toBe(`${usual}~15016`);
    expect(parse(printed({ port: '8080' }))).toMatchObject({ node: { id: usual } });
  });

  it.each([
    [{ service: 'a b' }, '--service'],
    [{ xds: 'nowhere' }, '--xds'],
    [{ adminPort: '0' }, '--admin-port'],
    [{ port: '70000' }, '--port'],
    [{ inbound: '0.0.0.0:15006' }, '--inbound needs --port'],
    [{ upstream: ['db'] }, '--upstream: expected SERVICE=ADDRESS:PORT'],
    [{ upstream: ['db=localhost:5432'] }, '--upstream: expected an IP address'],
  ])('%j is wrong usage', (flags, message) => {
    expect(() => printed(flags)).toThrow(message);
  });
});

describe('the gRPC bootstrap', () => {
  const options = {
    service: 'orders.default',
    nodeId: 'n1',
    xds: '10.0.0.1:15010',
    locality: { region: '', zone: 'a', subZone: '' },
  };

  it('names the server, the node and its service', () => {
    expect(grpcBootstrap(options)).toEqual({
      xds_servers: [
        { server_uri: '10.0.0.1:15010', channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] },
      ],
      node: {
        id: 'n1',
        cluster: 'orders.default',
        locality: { zone: 'a' },
        metadata: { isthmus: { service: 'orders.default' } },
      },
    });
  });

  it('has a locality even when nothing is said of it, for grpc-js wants one; IPv6 in brackets', () => {
    const locality = { region: '', zone: '', subZone: '' };
    expect(grpcBootstrap({ ...options, locality, xds: '[::1]:15010' })).toMatchObject({
      xds_servers: [{ server_uri: '[::1]:15010' }],
      node: { locality: {} },
    });
  });

  it.each([
    [{ port: '8080' }, '--port'],
    [{ outbound: '127.0.0.1:15001' }, '--outbound'],
    [{ xds: 'nowhere' }, '--xds'],
  ])('%j is wrong usage', (flags, message) => {
    expect(() => bootstrap('grpc', { ...FLAGS, ...flags })).toThrow(message);
  });
});

describe('TLS to the control plane', () => {
  const tls = { ca: '/k/ca.pem', cert: '/k/x.pem', key: '/k/x.key', serverName: '' };
  interface Socket {
    readonly typed_config: {
      readonly sni?: string;
      readonly common_tls_context: Readonly<Record<string, unknown>>;
    };
  }
  const socketOf = (options: Partial<BootstrapOptions>): Socket => {
    const data = envoyBootstrap({ ...OPTIONS, tls, ...options }) as {
      static_resources: { clusters: { transport_socket: Socket }[] };
    };
    const [cluster] = data.static_resources.clusters;
    if (!cluster) throw new Error('no cluster');
    return cluster.transport_socket;
  };
  const names = (...all: readonly (readonly [string, string])[]) =>
    all.map(([san_type, exact]) => ({ san_type, matcher: { exact } }));

  it('is a certificate, an authority and the host of --xds in what comes back', () => {
    expect(socketOf({ xds: 'cp.internal:15012,10.0.0.7:15012' }).typed_config).toMatchObject({
      sni: 'cp.internal',
      common_tls_context: {
        alpn_protocols: ['h2'],
        tls_certificates: [
          { certificate_chain: { filename: '/k/x.pem' }, private_key: { filename: '/k/x.key' } },
        ],
        validation_context: {
          trusted_ca: { filename: '/k/ca.pem' },
          match_typed_subject_alt_names: names(['DNS', 'cp.internal'], ['IP_ADDRESS', '10.0.0.7']),
        },
      },
    });
    expect(socketOf({}).typed_config.sni).toBeUndefined();
  });

  it('may be told the name', () => {
    const socket = socketOf({ tls: { ...tls, serverName: 'spiffe://x/control-plane' } });
    expect(socket.typed_config.sni).toBeUndefined();
    expect(socket.typed_config.common_tls_context['validation_context']).toMatchObject({
      match_typed_subject_alt_names: names(['URI', 'spiffe://x/control-plane']),
    });
  });

  it('follows files that change by secrets on disk, in which no key is', async () => {
    const socket = socketOf({ secrets: '/etc/envoy' });
    expect(socket.typed_config.common_tls_context).toMatchObject({
      tls_certificate_sds_secret_configs: [
        { sds_config: { path_config_source: { path: '/etc/envoy/isthmus_xds_certificate.yaml' } } },
      ],
      combined_validation_context: {
        validation_context_sds_secret_config: { name: 'isthmus_xds_authority' },
      },
    });
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-secrets-'));
    try {
      const files = { xdsCa: '/k/ca.pem', xdsCert: '/k/x.pem', xdsKey: '/k/x.key', xdsSecrets: folder };
      const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
      bootstrap('envoy', { ...FLAGS, ...files });
      written.mockRestore();
      const text = await readFile(join(folder, 'isthmus_xds_certificate.yaml'), 'utf8');
      expect(parse(text)).toMatchObject({
        resources: [{ tls_certificate: { watched_directory: { path: '/k' } } }],
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is all that a gRPC client is offered', () => {
    const { adminPort: _, ...options } = OPTIONS;
    expect(grpcBootstrap({ ...options, tls })['xds_servers']).toMatchObject([
      {
        channel_creds: [
          {
            type: 'tls',
            config: {
              ca_certificate_file: '/k/ca.pem',
              certificate_file: '/k/x.pem',
              private_key_file: '/k/x.key',
            },
          },
        ],
      },
    ]);
  });

  it.each<[string, 'envoy' | 'grpc', Partial<BootstrapFlags>, RegExp]>([
    ['a certificate alone', 'envoy', { xdsCert: 'x' }, /--xds-cert, --xds-key and --xds-ca belong together/],
    ['a name alone', 'envoy', { xdsName: 'x' }, /belong together/],
    ['secrets without certificates', 'envoy', { xdsSecrets: 'x' }, /--xds-secrets needs/],
    ['a name for gRPC', 'grpc', { xdsName: 'x' }, /--xds-name/],
    ['secrets for gRPC', 'grpc', { xdsSecrets: 'x' }, /--xds-secrets/],
  ])('%s is refused', (_what, kind, flags, text) => {
    expect(() => bootstrap(kind, { ...FLAGS, ...flags })).toThrow(text);
  });
});
