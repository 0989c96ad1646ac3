// The static config file (isthmus.yaml): its shape, defaults and types. Unknown fields are errors; where
// they stand in the file is found by config/load.ts.
import { z } from 'zod';
import { isEtcdEndpoint, isHttpUrl, isNatsServer } from './addresses.ts';
import { duration } from './duration.ts';
import { guardFields, keepingFields } from './keeping.ts';
import { ruleFields } from './policy.ts';
import { probe } from './probe.ts';
import { shapingFields } from './shaping.ts';
import { areWritable } from './write-to.ts';
import { listenAddress, xds } from './xds.ts';

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

/** IP, IP:PORT or [IPV6]:PORT. */
const nameServers = z
  .array(
    z
      .string()
      .regex(/^(\d+(\.\d+){3}(:\d{1,5})?|[0-9a-fA-F:]+|\[[0-9a-fA-F:]+\](:\d{1,5})?)$/, 'IP or IP:PORT'),
  )
  .default([]);

const anySource = {
  name: sourceName,
  locality,
  /** Readiness waits for its first answer. */
  required: z.boolean().default(true),
  /** Separates overlapping address ranges; endpoints of different networks are never the same. */
  network: z.string().default(''),
  /** Namespace of services from a registry that has none. */
  serviceNamespace: z.string().min(1).default('default'),
  ...shapingFields,
  ...keepingFields,
};

/** A source of instances whose addresses may be host names. */
const sourceBase = {
  ...anySource,
  /** Name servers for them. Empty: those of the machine. */
  resolvers: nameServers,
};

export const fileSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('file'),
  /** A file or a glob such as ./vms/*.yaml, relative to the config file. */
  path: z.string().min(1),
  /** `file_sd`: Prometheus target groups, JSON or YAML. `kubernetes`: Service and EndpointSlice manifests. */
  format: z.enum(['file_sd', 'kubernetes']).default('file_sd'),
});

/** PEM files. `ca` empty: the system's. `cert` and `key`: a client certificate. */
const pemFiles = {
  ca: z.string().default(''),
  cert: z.string().default(''),
  key: z.string().default(''),
};
const isPair = ({ cert, key }: { readonly cert: string; readonly key: string }): boolean =>
  (cert === '') === (key === '');
const tlsFiles = z.strictObject(pemFiles).refine(isPair, 'cert and key belong together');

/** What Consul's own commands know beside the files. */
const consulTls = z
  .strictObject({
    ...pemFiles,
    /** The name that the server's certificate must have, in place of that in `address`. */
    serverName: z.string().default(''),
    /** false: any certificate is good, so anybody may be the server. */
    verify: z.boolean().default(true),
  })
  .refine(isPair, 'cert and key belong together');

export const consulSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('consul'),
  address: httpUrl.default('http://127.0.0.1:8500'),
  /** Empty: the agent's own. */
  datacenter: z.string().default(''),
  /** `all`: a source for each datacenter that the agent knows, called NAME-DATACENTER. */
  datacenters: z.literal('all').optional(),
  token: z.string().default(''),
  /** A file with the token; read again when Consul refuses it and when it changes. */
  tokenFile: z.string().default(''),
  tls: consulTls.optional(),
  /** Consul's consistency modes for reads. */
  consistency: z.enum(['default', 'stale', 'consistent']).default('default'),
  /** Consul Enterprise. */
  namespace: z.string().default(''),
  partition: z.string().default(''),
  /** An expression of Consul's over the entries of /v1/health/service. */
  filter: z.string().default(''),
  /** Instances that carry all of them; told to Consul, unlike `include.tags`. */
  tags: z.array(z.string().min(1)).default([]),
  /** Instances on nodes with this meta. */
  nodeMeta: z.record(z.string().min(1), z.string()).default({}),
  /** Services watched at once, each by a connection of its own. Consul takes 200 from one address. */
  maxWatches: z.int().min(0).max(180).default(128),
});

/** As Kubernetes has them; nothing that would mean something in a selector. */
const kubeLabelName = z
  .string()
  .regex(/^([a-z0-9.-]+\/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/, 'a label name');
const kubeLabelValue = z.string().regex(/^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/, 'a label value');

/** As in Kubernetes' own label selectors. */
const kubeExpression = z
  .strictObject({
    key: kubeLabelName,
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(kubeLabelValue).default([]),
  })
  .refine(
    ({ operator, values }) => operator.endsWith('In') === values.length > 0,
    '`values` with In and NotIn, and only there',
  );

export const kubernetesSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('kubernetes'),
  /** A kubeconfig file; empty: $KUBECONFIG, ~/.kube/config, or in-cluster. */
  kubeconfig: z.string().default(''),
  /** Empty: the current one. */
  context: z.string().default(''),
  namespaces: z.array(z.string().min(1)).min(1).default(['*']),
  /** Of `namespaces`, those whose labels fit all of it. */
  namespaceSelector: z
    .strictObject({
      matchLabels: z.record(kubeLabelName, kubeLabelValue).default({}),
      matchExpressions: z.array(kubeExpression).default([]),
    })
    .optional(),
  /** Read the annotations of consul-k8s on Services: port, weight, tags, meta, sync. */
  consulAnnotations: z.boolean().default(false),
  /** Follow ServiceImports (multi-cluster services) where the cluster has them. */
  serviceImports: z.boolean().default(true),
  /** Follow Pods too: their labels, and their service accounts. */
  pods: z.boolean().default(true),
  /** Follow Nodes too: region, zone and subzone. */
  nodes: z.boolean().default(true),
  /** Of a dual-stack service: one endpoint for each address of a pod, or only those of one family. */
  ipFamily: z.enum(['any', 'ipv4', 'ipv6']).default('any'),
});

/** Host names, IPv4, [v6]; also with http:// or https://, as etcd's own tools take it. */
const etcdEndpoint = z
  .string()
  .refine(isEtcdEndpoint, 'HOST:PORT or a URL, such as 127.0.0.1:2379 or https://etcd.example:2379');

/** A list, or as the registries' tools take it: one text with commas. */
const listOf = <S extends z.ZodType<string, string>>(item: S) =>
  z.preprocess(
    (value) => (typeof value === 'string' ? value.split(',').map((text) => text.trim()) : value),
    z.array(item).min(1),
  );

export const etcdSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('etcd'),
  /** Members of one cluster. */
  endpoints: listOf(etcdEndpoint).default(['127.0.0.1:2379']),
  /** All keys that begin with it. A slash at its end is added. */
  prefix: z.string().default('/services/'),
  layout: z.enum(['grpc-naming', 'skydns', 'json']).default('json'),
  auth: z.strictObject({ username: z.string().min(1), password: z.string() }).optional(),
  tls: tlsFiles.optional(),
});

export const zookeeperSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('zookeeper'),
  /** Servers of one ensemble, as in ZooKeeper's connect string: the last one may carry a chroot. */
  servers: listOf(
    z
      .string()
      .regex(
        /^(\[[0-9a-fA-F:.]+\]|[^:[\]/\s]+)(:\d{1,5})?(\/\S*)?$/,
        'HOST:PORT, such as 127.0.0.1:2181; the last one may end with a chroot, such as /prod',
      ),
  ).default(['127.0.0.1:2181']),
  /** The node whose children are services. */
  path: z.string().regex(/^\//, 'a path that begins with /').default('/services'),
  layout: z.enum(['curator', 'dubbo', 'serverset', 'nerve', 'json']).default('curator'),
  /** USER:PASSWORD for the scheme `digest`; empty: nobody. */
  auth: z
    .string()
    .refine((text) => text === '' || /^[^:]+:./.test(text), 'USER:PASSWORD')
    .default(''),
});

export const eurekaSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('eureka'),
  /** Instances come back to a server that lost them with their next heartbeat, 30 s, and its cache hides that for 30 more. */
  guard: guardFields('2m'),
  /** Servers of one cluster, each up to where /apps begins. USER:PASSWORD@ in a URL is that server's own. */
  urls: listOf(httpUrl).default(['http://127.0.0.1:8761/eureka']),
  username: z.string().default(''),
  password: z.string().default(''),
  tls: tlsFiles.optional(),
  /** Between two deltas. */
  pollSeconds: z.number().min(1).max(60).default(5),
  /** Further regions that the servers know, as in ?regions=. */
  regions: z.array(z.string().min(1)).default([]),
});

export const nacosSource = z.strictObject({
  ...sourceBase,
  kind: z.literal('nacos'),
  /** Servers of one cluster. A URL that has a path of its own does not get `contextPath`. */
  urls: listOf(httpUrl).default(['http://127.0.0.1:8848']),
  /** Where the server's API begins, as `nacos.server.contextPath` says there. */
  contextPath: z.string().regex(/^\//, 'a path that begins with /').default('/nacos'),
  /** `auto` asks each server which one it speaks. */
  api: z.enum(['auto', 'v1', 'v2', 'v3']).default('auto'),
  /** The ID of a Nacos namespace, which need not be its name. Empty: `public`. */
  namespace: z.string().default(''),
  /** Groups and clusters that take part; none named: all. */
  groups: z.array(z.string().min(1)).default([]),
  clusters: z.array(z.string().min(1)).default([]),
  username: z.string().default(''),
  password: z.string().default(''),
  /** Files with the password, or with an access token that somebody else keeps fresh. */
  passwordFile: z.string().default(''),
  tokenFile: z.string().default(''),
  tls: tlsFiles.optional(),
  /** Between two looks at the list of services, which counts their instances. */
  pollSeconds: z.number().min(1).max(60).default(5),
  /** Each service is read at least so often: weight, metadata and `enabled` are not in the list. */
  refreshSeconds: z.number().min(5).max(3_600).default(60),
});

const dnsName = z.string().regex(/^[^\s/:]+$/, 'a DNS name');
const dnsEntry = {
  /** With a namespace after the last dot, or without. */
  service: z.string().min(1),
  protocol: z.string().default(''),
};

export const dnsSource = z.strictObject({
  ...anySource,
  kind: z.literal('dns'),
  /** A and AAAA records need a port; SRV records bring theirs along. */
  names: z
    .array(
      z.union([
        z.strictObject({
          ...dnsEntry,
          name: dnsName,
          port: z.int().min(1).max(65_535),
          srv: z.undefined().optional(),
        }),
        z.strictObject({ ...dnsEntry, srv: dnsName }),
      ]),
    )
    .min(1),
  /** Name servers, IP or IP:PORT. Empty: those of the machine. */
  servers: nameServers,
  /** For answers that do not say how long they hold. */
  pollSeconds: z.number().min(1).max(3_600).default(30),
});

/** Data planes that say, with their first message, which service they stand beside. */
export const sidecarSource = z.strictObject({
  ...anySource,
  kind: z.literal('sidecar'),
  /** How long a sidecar whose stream broke stays listed, and how long all have to come back after a start. */
  grace: duration('10s'),
  /** Who may register from beyond loopback, see docs/sources/sidecar.md. Empty: nobody. */
  tokensFile: z.string().default(''),
  /** Sources of kind consul or eureka: their registries are told of the endpoints that register here, for callers outside. */
  writeTo: z.array(sourceName).default([]),
  /** Marks what is written there; another one for each installation that writes into the same registry. */
  owner: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'up to 64 letters, digits, dashes and underscores')
    .default('isthmus'),
});

export const sourceSchema = z.discriminatedUnion('kind', [
  fileSource,
  consulSource,
  kubernetesSource,
  etcdSource,
  zookeeperSource,
  eurekaSource,
  nacosSource,
  dnsSource,
  sidecarSource,
]);

/** host:port, or a URL as NATS's own tools take it. */
const natsServer = z
  .string()
  .refine(isNatsServer, 'nats://HOST:PORT, with USER:PASSWORD@ or TOKEN@ before the host if need be');

const cluster = z
  .strictObject({
    /** Servers of one NATS cluster with JetStream. */
    nats: listOf(natsServer),
    /** Replicas of one installation have the same name; its buckets begin with it. */
    name: z
      .string()
      .regex(/^[A-Za-z0-9_-]+$/, 'letters, digits, dashes and underscores')
      .default('isthmus'),
    /** Copies of what is shared, on so many NATS servers. Default: 3 when three servers are named, else 1. */
    copies: z.literal([1, 3, 5]).optional(),
  })
  .optional();

export const configSchema = z.strictObject({
  sources: z.array(sourceSchema).min(1, 'at least one source').superRefine(areWritable),
  /** How the sources of a service become one, where no ServicePolicy says otherwise. */
  merge: z.strictObject(ruleFields).prefault({}),
  /** Files and directories of resources, relative to the config file. */
  resources: z.array(z.string().min(1)).default([]),
  xds,
  admin: z
    .strictObject({
      listen: listenAddress.default('127.0.0.1:15080'),
      /** A file with the token for changes. Empty: `admin-token` in dataDir, made at the first start. */
      tokenFile: z.string().default(''),
    })
    .prefault({}),
  /** Where the last known good of every source, and overrides, are written; empty: nowhere. */
  dataDir: z.string().default('./isthmus-data'),
  lastKnownGood: z
    .strictObject({
      /** An older one is not used. */
      maxAge: duration('7d'),
      /** From one writing of a source to the next. */
      writeEvery: duration('1s'),
    })
    .prefault({}),
  migrations: z
    .strictObject({
      /** Each step, rollback and end is told here by POST; empty: nobody. */
      webhook: z.union([z.literal(''), z.url({ protocol: /^https?$/ })]).default(''),
    })
    .prefault({}),
  /** Pings of endpoints whose life or identity is in question. */
  probe,
  /** Several replicas share work and state; absent: this one is alone. */
  cluster,
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

export type FileSource = z.infer<typeof fileSource>;
export type ConsulSource = z.infer<typeof consulSource>;
export type KubernetesSource = z.infer<typeof kubernetesSource>;
export type EtcdSource = z.infer<typeof etcdSource>;
export type ZookeeperSource = z.infer<typeof zookeeperSource>;
export type EurekaSource = z.infer<typeof eurekaSource>;
export type NacosSource = z.infer<typeof nacosSource>;
export type DnsSource = z.infer<typeof dnsSource>;
export type SidecarSource = z.infer<typeof sidecarSource>;
export type DnsName = DnsSource['names'][number];
export type SourceConfig = z.infer<typeof sourceSchema>;
export type ClusterConfig = NonNullable<z.infer<typeof cluster>>;
export type Config = z.infer<typeof configSchema>;
