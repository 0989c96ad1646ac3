// The real Envoy reads every golden resource (`--mode validate`): what it refuses there it would refuse as
// a NACK in production, together with everything beside it.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ENVOYS } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { findBinary } from '../support/peers.ts';

const run = promisify(execFile);
const FOLDER = new URL('../golden/', import.meta.url);

interface Golden {
  readonly cds: readonly { readonly name: string; readonly type: string }[];
  readonly eds: readonly { readonly cluster_name: string }[];
  readonly lds: readonly object[];
  readonly rds: readonly object[];
}

const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  },
};

/** A cluster that only carries an assignment, or that only has to exist. */
const staticCluster = (name: string, load_assignment: object) => ({ name, type: 'STATIC', load_assignment });

const emptyAssignment = (cluster_name: string) => ({ cluster_name });

/** Routes are checked inside a connection manager that holds them itself. */
const listenerOf = (route_config: object, index: number) => ({
  name: `routes-${index}`,
  address: { socket_address: { address: '127.0.0.1', port_value: 20_000 + index } },
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
            stat_prefix: 'routes',
            // Every cluster that a route names must be there.
            route_config: { ...route_config, validate_clusters: true },
            http_filters: [
              {
                name: 'envoy.filters.http.router',
                typed_config: {
                  '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
                },
              },
            ],
          },
        },
      ],
    },
  ],
});

function bootstrapOf(golden: Golden): object {
  return {
    node: { id: 'golden', cluster: 'golden' },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
    },
    static_resources: {
      clusters: [
        { ...staticCluster('xds', emptyAssignment('xds')), typed_extension_protocol_options: HTTP2 },
        ...golden.cds,
        ...golden.eds.map((assignment) => staticCluster(`eds/${assignment.cluster_name}`, assignment)),
      ],
      listeners: [...golden.lds, ...golden.rds.map(listenerOf)],
    },
  };
}

for (const kind of ENVOYS) {
  describePeers(
    [kind],
    `golden files, read by ${kind}`,
    () => {
      let folder: string;
      beforeAll(async () => {
        folder = await mkdtemp(join(tmpdir(), 'isthmus-golden-'));
      });
      afterAll(() => rm(folder, { recursive: true, force: true }));

      /** Empty when Envoy takes it, else what it says. */
      async function validate(name: string, bootstrap: object): Promise<string> {
        const file = join(folder, `${name}.json`);
        await writeFile(file, JSON.stringify(bootstrap));
        try {
          await run(findBinary(kind) ?? '', [
            '--mode',
            'validate',
            '-c',
            file,
            '-l',
            'error',
            '--use-dynamic-base-id',
          ]);
          return '';
        } catch (thrown) {
          const { stdout, stderr } = thrown as { stdout?: string; stderr?: string };
          return `${stdout ?? ''}${stderr ?? String(thrown)}`;
        }
      }

      it('takes every one', async () => {
        const files = (await readdir(FOLDER)).filter((file) => file.endsWith('.json'));
        expect(files.length).toBeGreaterThan(0);
        const refused: string[] = [];
        for (const file of files) {
          const golden = JSON.parse(await readFile(new URL(file, FOLDER), 'utf8')) as Golden;
          const said = await validate(file, bootstrapOf(golden));
          if (said !== '') refused.push(`${file}: ${said}`);
        }
        expect(refused).toEqual([]);
      });

      it('would refuse a domain that stands twice, an address that is no IP, and an unknown cluster', async () => {
        const host = (name: string, cluster: string) => ({
          name,
          domains: ['orders'],
          routes: [{ match: { prefix: '/' }, route: { cluster } }],
        });
        const routes = (...virtual_hosts: object[]): Golden => ({
          cds: [],
          eds: [],
          lds: [],
          rds: [{ name: 'outbound', virtual_hosts }],
        });
        expect(await validate('twice', bootstrapOf(routes(host('a', 'xds'), host('b', 'xds'))))).toMatch(
          /domain/,
        );
        expect(await validate('unknown', bootstrapOf(routes(host('a', 'nowhere'))))).toMatch(
          /unknown cluster/,
        );
        const socket_address = { address: 'pod.example.org', port_value: 80 };
        const eds = [
          {
            cluster_name: 'a',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address } } }] }],
          },
        ];
        expect(await validate('host', bootstrapOf({ cds: [], eds, lds: [], rds: [] }))).toMatch(
          /malformed IP/,
        );
      });
    },
    // Validation is a command, not a server: it needs the binary itself.
    [findBinary(kind) === undefined ? `no ${kind} binary here` : undefined],
  );
}
