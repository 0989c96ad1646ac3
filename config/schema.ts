// The static config file (isthmus.yaml): its shape, defaults and types. Unknown fields are errors; where
// they stand in the file is found by config/load.ts.
import { z } from 'zod';

const sourceName = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/,
    'lower-case letters, digits, dots, dashes and underscores; no slash',
  );

const locality = z
  .strictObject({
    region: z.string().default(''),
    zone: z.string().default(''),
    subZone: z.string().default(''),
  })
  .prefault({});

const httpUrl = z.string().refine(isHttpUrl, 'a URL such as http://127.0.0.1:8500');

/** host:port, [v6]:port or :port; port 0 picks a free one. */
const listenAddress = z
  .string()
  .refine((text) => parseListenAddress(text) !== undefined, 'HOST:PORT, such as 127.0.0.1:15010');

const sourceBase = {
  name: sourceName,
  locality,
  /** Readiness waits for its first answer. */
  required: z.boolean().default(true),
  /** Separates overlapping address ranges; endpoints of different networks are never the same. */
  network: z.string().default(''),
  /** Namespace of services from a registry that has none. */
  serviceNamespace: z.string().min(1).default('default'),
  include: z.strictObject({ services: z.array(z.string().min(1)).default(['*']) }).prefault({}),
};

export const fileSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('file'),
  /** A file or a glob such as ./vms/*.yaml, relative to the config file. */
  path: z.string().min(1),
  /** `file_sd`: Prometheus target groups, JSON or YAML. `kubernetes`: Service and EndpointSlice manifests. */
  format: z.enum(['file_sd', 'kubernetes']).default('file_sd'),
});

export const consulSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('consul'),
  address: httpUrl.default('http://127.0.0.1:8500'),
  /** Empty: the agent's own. */
  datacenter: z.string().default(''),
  token: z.string().default(''),
});

export const kubernetesSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('kubernetes'),
  /** A kubeconfig file; empty: $KUBECONFIG, ~/.kube/config, or in-cluster. */
  kubeconfig: z.string().default(''),
  /** Empty: the current one. */
  context: z.string().default(''),
  namespaces: z.array(z.string().min(1)).min(1).default(['*']),
});

export const sourceSchema = z.discriminatedUnion('kind', [fileSource, consulSource, kubernetesSource]);

export const configSchema = z.strictObject({
  sources: z.array(sourceSchema).min(1, 'at least one source'),
  xds: z.strictObject({ plaintext: listenAddress.default('127.0.0.1:15010') }).prefault({}),
  admin: z.strictObject({ listen: listenAddress.default('127.0.0.1:15080') }).prefault({}),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

export type FileSource = z.infer<typeof fileSource>;
export type ConsulSource = z.infer<typeof consulSource>;
export type KubernetesSource = z.infer<typeof kubernetesSource>;
export type SourceConfig = z.infer<typeof sourceSchema>;
export type Config = z.infer<typeof configSchema>;

function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (url.protocol === 'http:' || url.protocol === 'https:') && url.port !== '0';
}

/** undefined when it is not HOST:PORT with a port of 0…65535. An empty host means every address. */
export function parseListenAddress(
  text: string,
): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  return { host: match[1] ?? match[2] ?? '', port };
}
