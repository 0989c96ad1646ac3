// `isthmus bootstrap envoy|grpc`: prints the bootstrap, ready for `envoy -c`, or for the file that
// GRPC_XDS_BOOTSTRAP names.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { envoyBootstrap } from '../bootstrap/envoy.ts';
import { secretFiles } from '../bootstrap/envoy-tls.ts';
import { grpcBootstrap } from '../bootstrap/grpc.ts';
import { write } from '../output.ts';
import { alsoFlags } from '../also-flag.ts';
import { appCheckFlags } from '../app-check-flags.ts';
import type { AppCheckFlags } from '../app-check-flags.ts';
import {
  defaultNodeId,
  listenFlag,
  portFlag,
  registerFlags,
  scopeFlags,
  serviceFlag,
  tokenFile,
  upstreamFlag,
  usage,
  xdsFlag,
} from '../usage.ts';
import type { RegisterFlags, ScopeFlags } from '../usage.ts';
import { xdsTlsFlags } from '../xds-tls-flags.ts';
import type { XdsTls, XdsTlsFlags } from '../xds-tls-flags.ts';

export interface BootstrapFlags extends RegisterFlags, AppCheckFlags, ScopeFlags, XdsTlsFlags {
  readonly service: string;
  readonly nodeId?: string;
  readonly xds: string;
  readonly adminPort: string;
  readonly outbound?: string;
  readonly inbound?: string;
  readonly also?: readonly string[];
  readonly upstream?: readonly string[];
  readonly region: string;
  readonly tokenFile?: string;
  readonly zone: string;
  readonly subZone: string;
  readonly xdsSecrets?: string;
}

export function bootstrap(kind: string, flags: BootstrapFlags): void {
  if (kind === 'grpc') return bootstrapGrpc(flags);
  if (kind !== 'envoy') throw usage(`bootstrap: expected envoy or grpc, got "${kind}"`);
  const service = serviceFlag(flags.service);
  const { inbound, outbound, port } = flags;
  if (inbound !== undefined && port === undefined) {
    throw usage('--inbound needs --port: the port on loopback that the app listens on');
  }
  const tls = xdsTlsFlags(flags);
  const data = envoyBootstrap({
    service,
    nodeId: flags.nodeId ?? defaultNodeId(service, inbound),
    xds: xdsFlag(flags.xds),
    adminPort: portFlag('--admin-port', flags.adminPort),
    outbound: outbound && listenFlag('--outbound', outbound),
    inbound: inbound && listenFlag('--inbound', inbound),
    appPort: port === undefined ? undefined : portFlag('--port', port),
    further: alsoFlags(flags.also, { service, inbound, port }),
    upstreams: (flags.upstream ?? []).map(upstreamFlag),
    ...scopeFlags(flags),
    register: registerFlags(flags, appCheckFlags(flags)),
    token: flags.tokenFile === undefined ? undefined : tokenFile(flags.tokenFile),
    locality: { region: flags.region, zone: flags.zone, subZone: flags.subZone },
    tls,
    secrets: flags.xdsSecrets,
  });
  if (flags.xdsSecrets !== undefined) writeSecrets(flags.xdsSecrets, tls);
  // Envoy reads YAML 1.1, in which a zone called `no` or a node called `y` is a boolean unless quoted.
  const text = stringify(data, { version: '1.1', aliasDuplicateObjects: false, lineWidth: 0 });
  write(`# Envoy bootstrap for ${service}, made by isthmus. Start: envoy -c FILE\n${text}`);
}

function writeSecrets(folder: string, tls: XdsTls | undefined): void {
  if (!tls) throw usage('--xds-secrets needs --xds-cert, --xds-key and --xds-ca');
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(secretFiles(tls))) {
    writeFileSync(join(folder, name), stringify(content, { version: '1.1', lineWidth: 0 }));
  }
}

function bootstrapGrpc(flags: BootstrapFlags): void {
  for (const name of ['port', 'outbound', 'inbound', 'also', 'upstream'] as const) {
    if (flags[name] !== undefined) throw usage(`--${name}: a gRPC client needs no listener of ours`);
  }
  if (flags.scope !== undefined) throw usage('--scope: a gRPC client asks for what it calls by name anyway');
  if (flags.xdsName !== undefined) {
    throw usage('--xds-name: a gRPC client wants the host of --xds in the certificate');
  }
  if (flags.xdsSecrets !== undefined) throw usage('--xds-secrets: a gRPC client follows its files by itself');
  const service = serviceFlag(flags.service);
  const data = grpcBootstrap({
    service,
    ...scopeFlags(flags),
    nodeId: flags.nodeId ?? defaultNodeId(service),
    xds: xdsFlag(flags.xds),
    locality: { region: flags.region, zone: flags.zone, subZone: flags.subZone },
    tls: xdsTlsFlags(flags),
  });
  write(`${JSON.stringify(data, null, 2)}\n`);
}
