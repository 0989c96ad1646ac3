// TLS from an Envoy to the control plane: what its bootstrap says, and the files by which it follows certificates
// that change. Envoy reads files of a bootstrap once; those that a secret on disk names are read again. Pure.
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
import type { XdsTls } from '../xds-tls-flags.ts';
import type { XdsAddress } from './node.ts';

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';
const CERTIFICATE = 'isthmus_xds_certificate';
const AUTHORITY = 'isthmus_xds_authority';

/** @param secrets folder of secretFiles(), as the Envoy sees it. */
export function upstreamTls(tls: XdsTls, replicas: readonly XdsAddress[], secrets: string | undefined) {
  const wanted = tls.serverName === '' ? replicas.map(({ host }) => host) : [tls.serverName];
  const name = wanted.find((each) => kindOf(each) === 'DNS');
  const matching = {
    match_typed_subject_alt_names: [...new Set(wanted)].map((exact) => ({
      san_type: kindOf(exact),
      matcher: { exact },
    })),
  };
  const common =
    secrets === undefined
      ? {
          tls_certificates: [certificateOf(tls)],
          validation_context: { trusted_ca: { filename: tls.ca }, ...matching },
        }
      : {
          tls_certificate_sds_secret_configs: [secretAt(secrets, CERTIFICATE)],
          combined_validation_context: {
            default_validation_context: matching,
            validation_context_sds_secret_config: secretAt(secrets, AUTHORITY),
          },
        };
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TLS}.UpstreamTlsContext`,
      // Of several replicas with different names the first: the control plane has one certificate.
      ...(name !== undefined && { sni: name }),
      common_tls_context: {
        alpn_protocols: ['h2'],
        tls_params: { tls_minimum_protocol_version: 'TLSv1_2' },
        ...common,
      },
    },
  };
}

/** File by name, each a discovery response on disk; the secrets in it are names of files, nothing else. */
export function secretFiles(tls: XdsTls): Readonly<Record<string, object>> {
  const file = (name: string, secret: object) => ({
    resources: [{ '@type': `${TLS}.Secret`, name, ...secret }],
  });
  return {
    [`${CERTIFICATE}.yaml`]: file(CERTIFICATE, {
      tls_certificate: { ...certificateOf(tls), watched_directory: { path: dirname(tls.cert) } },
    }),
    [`${AUTHORITY}.yaml`]: file(AUTHORITY, {
      validation_context: {
        trusted_ca: { filename: tls.ca },
        watched_directory: { path: dirname(tls.ca) },
      },
    }),
  };
}

const certificateOf = ({ cert, key }: XdsTls) => ({
  certificate_chain: { filename: cert },
  private_key: { filename: key },
});

const secretAt = (folder: string, name: string) => ({
  name,
  sds_config: {
    path_config_source: { path: join(folder, `${name}.yaml`) },
    resource_api_version: 'V3',
  },
});

function kindOf(name: string): 'DNS' | 'IP_ADDRESS' | 'URI' {
  if (name.startsWith('spiffe://')) return 'URI';
  return isIP(name) === 0 ? 'DNS' : 'IP_ADDRESS';
}
