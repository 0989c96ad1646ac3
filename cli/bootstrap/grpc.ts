// The bootstrap that joins a proxyless gRPC client to the control plane: the JSON file that the environment
// variable GRPC_XDS_BOOTSTRAP names (gRFC A27). Pure.
import type { XdsTls } from '../xds-tls-flags.ts';
import { localityOf, xdsAddresses } from './node.ts';
import type { NodeLocality } from './node.ts';

export interface GrpcBootstrapOptions {
  /** Canonical name of the service that the client is part of. */
  readonly service: string;
  readonly nodeId: string;
  /** HOST:PORT of the control plane, or several with commas: the first that answers. */
  readonly xds: string;
  readonly locality: NodeLocality;
  /** Names of services; nothing else exists for the client then. */
  readonly calls?: readonly string[];
  /** undefined: without TLS. */
  readonly tls?: XdsTls | undefined;
}

/** Plain data, to be printed as JSON. */
export function grpcBootstrap(options: GrpcBootstrapOptions): Readonly<Record<string, unknown>> {
  return {
    xds_servers: xdsAddresses(options.xds).map(({ host, port }) => ({
      server_uri: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
      channel_creds: [credentialsOf(options.tls)],
      server_features: ['xds_v3'],
    })),
    node: {
      id: options.nodeId,
      cluster: options.service,
      // Even when nothing is said: @grpc/grpc-js-xds refuses a bootstrap without the field.
      locality: localityOf(options.locality),
      metadata: { isthmus: { service: options.service, ...(options.calls && { calls: options.calls }) } },
    },
  };
}

/** gRFC A65. Nothing beside it: a client that does not know it must not go on without TLS. */
const credentialsOf = (tls: XdsTls | undefined) =>
  tls
    ? {
        type: 'tls',
        config: {
          ca_certificate_file: tls.ca,
          certificate_file: tls.cert,
          private_key_file: tls.key,
          // The files are read again so often.
          refresh_interval: '60s',
        },
      }
    : { type: 'insecure' };
