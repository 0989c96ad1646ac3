// The control planes of the row `xds-path`, each with the bootstrap of an Envoy that joins it at `xdsPort`.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../support/free-port.ts';
import { isthmusSync } from '../../support/isthmus.ts';
import type { Place } from '../../support/peers.ts';
import type { Child, Stage } from '../types.ts';
import { httpGet, until } from '../wait.ts';
import type { PathRegistry } from './registries.ts';

export interface ControlPlane {
  readonly child: Child;
  readonly port: number;
  bootstrap(place: Place, xdsPort: number): string;
}

export async function startOurs(
  stage: Stage,
  { source }: PathRegistry,
  signal: AbortSignal,
): Promise<ControlPlane> {
  const [port, admin] = [await freePort(), await freePort()];
  const dir = join(stage.dir, `isthmus-${port}`);
  await mkdir(dir);
  const config = {
    sources: [{ name: 'registry', ...source }],
    xds: { plaintext: `127.0.0.1:${port}` },
    admin: { listen: `127.0.0.1:${admin}` },
    dataDir: join(dir, 'data'),
  };
  const file = join(dir, 'isthmus.yaml');
  await writeFile(file, JSON.stringify(config));
  const child = stage.children.start({
    name: 'isthmus',
    core: stage.cores.server,
    command: process.execPath,
    args: [...stage.nodeOptions, stage.cli, 'serve', '-c', file],
  });
  await until('readiness', child, signal, async () => {
    const { status } = await httpGet(admin, '/readyz', signal);
    return status === 200 || undefined;
  });
  return {
    child,
    port,
    bootstrap: (place, xdsPort) =>
      isthmusSync(
        ...['bootstrap', 'envoy', '--service', 'bench', '--node-id', 'bench'],
        ...['--xds', `127.0.0.1:${xdsPort}`, '--outbound', `127.0.0.1:${place.port('outbound')}`],
        ...['--admin-port', String(place.port('admin'))],
      ),
  };
}

/** As an Envoy without Istio's own filters needs it; all of its ports on loopback. */
const PILOT = {
  ENABLE_LEADER_ELECTION: 'false',
  PILOT_ENABLE_METADATA_EXCHANGE: 'false',
  POD_NAMESPACE: 'istio-system',
  POD_NAME: 'istiod-1',
  PILOT_CERT_PROVIDER: 'istiod',
};

export async function startIstio(
  stage: Stage,
  binary: string,
  { kubeconfig = '' }: PathRegistry,
  signal: AbortSignal,
) {
  const [port, http, monitoring] = [await freePort(), await freePort(), await freePort()];
  const mesh = join(stage.dir, `mesh-${port}.yaml`);
  const about = { defaultConfig: { discoveryAddress: `127.0.0.1:${port}` }, enableAutoMtls: false };
  await writeFile(mesh, JSON.stringify(about));
  const flags = [
    ...['discovery', `--kubeconfig=${kubeconfig}`, `--meshConfig=${mesh}`],
    ...['--httpAddr', `127.0.0.1:${http}`, '--grpcAddr', `127.0.0.1:${port}`],
    ...['--secureGRPCAddr', '', '--httpsAddr', '', '--monitoringAddr', `127.0.0.1:${monitoring}`],
    ...['--ctrlz_port', '0'],
  ];
  const child = stage.children.start({
    name: 'pilot-discovery',
    core: stage.cores.server,
    command: 'env',
    args: [...Object.entries(PILOT).map(([name, value]) => `${name}=${value}`), binary, ...flags],
  });
  await until('readiness', child, signal, async () => {
    const { status } = await httpGet(http, '/ready', signal);
    return status === 200 || undefined;
  });
  return { child, port, bootstrap: istioBootstrap } satisfies ControlPlane;
}

/** JSON is YAML. */
function istioBootstrap(place: Place, xdsPort: number): string {
  const at = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  return JSON.stringify({
    node: {
      id: 'sidecar~10.244.0.11~vm1.default~default.svc.cluster.local',
      cluster: 'bench',
      metadata: { NAMESPACE: 'default', ISTIO_VERSION: '1.31.0', CLUSTER_ID: 'Kubernetes' },
    },
    admin: { address: at(place.port('admin')) },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
      cds_config: { resource_api_version: 'V3', ads: {} },
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          typed_extension_protocol_options: {
            [options]: {
              '@type': `type.googleapis.com/${options}`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: at(xdsPort) } }] }],
          },
        },
      ],
    },
  });
}
