// Generates proto/gen (descriptors and TypeScript types) from the .proto files that development
// dependencies carry, and from those few in proto/extra that no package does. Nothing generated is kept
// in the tree. Does nothing when the output was made of the same inputs (scripts, the packages' versions,
// proto/extra).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileDescriptors } from './descriptors.mjs';

const require = createRequire(import.meta.url);
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = join(root, 'proto', 'gen');
const packages = [
  require.resolve('@grpc/grpc-js-xds/package.json'),
  require.resolve('@grpc/reflection/package.json'),
  require.resolve('grpc-health-check/package.json'),
];
const [xds, reflection, health] = packages.map((file) => dirname(file));
const bundled = dirname(require.resolve('protobufjs/package.json'));
const extra = join(root, 'proto', 'extra');
/** Where files are found; the name of a file, by which others import it, is its path below that behind the prefix. */
const includes = [
  ...['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((d) => ({ dir: join(xds, 'deps', d) })),
  { dir: join(reflection, 'build', 'proto') },
  { dir: join(health, 'proto'), prefix: 'grpc/' },
  { dir: extra },
  { dir: bundled },
];

/** The roots we speak; their imports follow by themselves. */
const files = [
  'envoy/service/discovery/v3/ads.proto',
  'envoy/service/discovery/v3/discovery.proto',
  'envoy/config/cluster/v3/cluster.proto',
  'envoy/config/endpoint/v3/endpoint.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/config/route/v3/route.proto',
  'envoy/config/bootstrap/v3/bootstrap.proto',
  'envoy/config/accesslog/v3/accesslog.proto',
  'envoy/service/cluster/v3/cds.proto',
  'envoy/service/endpoint/v3/eds.proto',
  'envoy/service/listener/v3/lds.proto',
  'envoy/service/route/v3/rds.proto',
  'envoy/service/route/v3/srds.proto',
  'envoy/service/secret/v3/sds.proto',
  'envoy/service/runtime/v3/rtds.proto',
  'envoy/service/extension/v3/config_discovery.proto',
  'envoy/service/load_stats/v3/lrs.proto',
  'envoy/service/status/v3/csds.proto',
  'envoy/service/health/v3/hds.proto',
  'envoy/service/accesslog/v3/als.proto',
  'envoy/admin/v3/config_dump.proto',
  'envoy/admin/v3/clusters.proto',
  'envoy/extensions/access_loggers/file/v3/file.proto',
  'envoy/extensions/access_loggers/grpc/v3/als.proto',
  'envoy/extensions/access_loggers/stream/v3/stream.proto',
  'envoy/extensions/request_id/uuid/v3/uuid.proto',
  'envoy/config/trace/v3/opentelemetry.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls.proto',
  'envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.proto',
  'envoy/extensions/filters/http/admission_control/v3/admission_control.proto',
  'envoy/extensions/filters/http/fault/v3/fault.proto',
  'envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.proto',
  'envoy/extensions/filters/http/health_check/v3/health_check.proto',
  'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto',
  'envoy/extensions/filters/http/on_demand/v3/on_demand.proto',
  'envoy/extensions/filters/http/rbac/v3/rbac.proto',
  'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
  'envoy/extensions/filters/listener/http_inspector/v3/http_inspector.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  'xds/type/v3/typed_struct.proto',
  'xds/type/matcher/v3/matcher.proto',
  'xds/type/matcher/v3/http_inputs.proto',
  'envoy/type/matcher/v3/http_inputs.proto',
  'envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto',
  'envoy/extensions/load_balancing_policies/least_request/v3/least_request.proto',
  'envoy/extensions/load_balancing_policies/maglev/v3/maglev.proto',
  'envoy/extensions/load_balancing_policies/peak_ewma/v3alpha/peak_ewma.proto',
  'envoy/extensions/load_balancing_policies/random/v3/random.proto',
  'envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.proto',
  'envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.proto',
  'envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.proto',
  'envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.proto',
  'isthmus/load_balancing/v1alpha1/peak_ewma.proto',
  'grpc/health/v1/health.proto',
  'grpc/reflection/v1/reflection.proto',
  'grpc/reflection/v1alpha/reflection.proto',
  'google/rpc/status.proto',
];

const ours = files.map((file) => join(extra, file)).filter((file) => existsSync(file));
const scripts = ['proto.mjs', 'descriptors.mjs'].map((file) => join(root, 'scripts', file));
const inputs = [...scripts, ...packages, ...ours];
const stamp = inputs
  .reduce((hash, file) => hash.update(readFileSync(file)), createHash('sha256'))
  .digest('hex');
const stampFile = join(out, 'stamp');

async function main() {
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await writeDescriptor();
  writeTypes();
  dropLoaderTypes();
  writeFileSync(stampFile, stamp);
  console.log(`proto: generated into ${out}`);
}

async function writeDescriptor() {
  const { default: protobuf } = await import('protobufjs');
  const rootNs = new protobuf.Root();
  rootNs.resolvePath = (_origin, target) => pathOf(target) ?? null;
  await rootNs.load(files, { keepCase: true });
  rootNs.resolveAll();
  writeFileSync(join(out, 'reflection.json'), JSON.stringify(fileDescriptors(rootNs, nameOf)));
  keepRules(rootNs);
  const descriptor = { ...rootNs.toJSON(), uses: usesOf(rootNs) };
  writeFileSync(join(out, 'descriptor.json'), JSON.stringify(descriptor));
}

/** Of a file's name; undefined: there is none. */
const pathOf = (name) =>
  includes
    .filter(({ prefix = '' }) => name.startsWith(prefix))
    .map(({ dir, prefix = '' }) => join(dir, name.slice(prefix.length)))
    .find((file) => existsSync(file));

function nameOf(path) {
  const found = includes.find(({ dir }) => path.startsWith(dir + sep));
  if (!found) return path;
  return (found.prefix ?? '') + path.slice(found.dir.length + 1).replaceAll(sep, '/');
}

/** Each message and enum that is not inside another one → those that its fields are of. For proto/codec.ts. */
function usesOf(rootNs) {
  const outermost = (type) => (type.parent.fieldsArray ? outermost(type.parent) : type);
  const nameOf = (type) => outermost(type).fullName.slice(1);
  const uses = {};
  const walk = (object) => {
    if (object.fieldsArray || object.values) {
      const own = (uses[nameOf(object)] ??= new Set());
      for (const { resolvedType } of object.fieldsArray ?? [])
        if (resolvedType) own.add(nameOf(resolvedType));
    }
    for (const part of object.nestedArray ?? []) walk(part);
  };
  walk(rootNs);
  for (const [name, own] of Object.entries(uses)) uses[name] = [...own].filter((other) => other !== name);
  return uses;
}

/**
 * The rules of protoc-gen-validate as they were written: the library's flat options lose all but the last
 * item of a list, and empty messages such as `gt {}`.
 */
function keepRules(object) {
  const isRule = (key) => key.startsWith('(validate.');
  for (const key of Object.keys(object.options ?? {})) if (isRule(key)) delete object.options[key];
  for (const part of object.parsedOptions ?? []) {
    for (const [key, value] of Object.entries(part)) {
      if (isRule(key)) object.options = { ...object.options, [key]: value };
    }
  }
  for (const part of [...(object.fieldsArray ?? []), ...(object.oneofsArray ?? [])]) keepRules(part);
  for (const part of object.nestedArray ?? []) keepRules(part);
}

function writeTypes() {
  execFileSync(
    process.execPath,
    [
      require.resolve('@grpc/proto-loader/build/bin/proto-loader-gen-types.js'),
      ...files.map((file) => pathOf(file) ?? file),
      '--keepCase',
      '--longs=String',
      '--enums=String',
      '--oneofs',
      '--bytes=Buffer',
      '--targetFileExtension=.ts',
      '--importFileExtension=.ts',
      '--grpcLib=@grpc/grpc-js',
      `--outDir=${join(out, 'types')}`,
      ...includes.map(({ dir }) => `--includeDirs=${dir}`),
    ],
    { stdio: ['ignore', 'ignore', 'inherit'], cwd: root },
  );
}

/** The generator also writes one file a root for use with proto-loader's loader, which we do not use. */
function dropLoaderTypes() {
  const dir = join(out, 'types');
  for (const entry of readdirSync(dir, { withFileTypes: true }))
    if (entry.isFile()) rmSync(join(dir, entry.name));
}

await main();
