// The variables that the registries' own tools read. They fill in only what the file leaves open, because one
// variable cannot speak for several sources that the file tells apart. Read as those tools read them; a path
// is relative to the current directory, as there.
import { resolve } from 'node:path';
import { valueAt } from './explain.ts';
import type { FieldPath } from './problems.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** A value that did not come from the file: complaints about it name its origin instead of a line. */
export interface Override {
  readonly path: FieldPath;
  readonly origin: string;
  readonly value: string | boolean;
}

interface Filling {
  readonly field: FieldPath;
  readonly origin: string;
  readonly value: string | boolean | undefined;
  /** Fields that mean the same: where the file has one of them, it has spoken. */
  readonly besides?: readonly string[];
}

export function neighbourOverrides(data: unknown, env: Env): readonly Override[] {
  const sources = valueAt(data, ['sources']);
  if (!Array.isArray(sources)) return [];
  const fillings = new Map<unknown, readonly Filling[]>([
    ['consul', consulFillings(env)],
    ['etcd', etcdFillings(env)],
    ['eureka', eurekaFillings(env)],
  ]);
  return sources.flatMap((source: unknown, index) =>
    (fillings.get(valueAt(source, ['kind'])) ?? []).flatMap(
      ({ field, origin, value, besides = [] }): Override[] => {
        // A mapping that the file began is the file's: parts of two origins would not fit together.
        const isSaid = [...field.slice(0, 1), ...besides].some((at) => valueAt(source, [at]) !== undefined);
        if (value === undefined || value === '' || isSaid) return [];
        return [{ path: ['sources', index, ...field], origin, value }];
      },
    ),
  );
}

/** As Consul's own commands do it: https://developer.hashicorp.com/consul/commands#environment-variables */
function consulFillings(env: Env): Filling[] {
  const said = (field: FieldPath, origin: string, besides: readonly string[] = []): Filling => ({
    field,
    origin,
    value: env[origin],
    besides,
  });
  const file = (field: FieldPath, origin: string, besides: readonly string[] = []): Filling => ({
    ...said(field, origin, besides),
    value: absolute(env[origin]),
  });
  const verify = flag(env['CONSUL_HTTP_SSL_VERIFY']);
  return [
    consulAddress(env),
    said(['token'], 'CONSUL_HTTP_TOKEN', ['tokenFile']),
    file(['tokenFile'], 'CONSUL_HTTP_TOKEN_FILE', ['token']),
    said(['namespace'], 'CONSUL_NAMESPACE'),
    said(['partition'], 'CONSUL_PARTITION'),
    file(['tls', 'ca'], 'CONSUL_CACERT'),
    file(['tls', 'cert'], 'CONSUL_CLIENT_CERT'),
    file(['tls', 'key'], 'CONSUL_CLIENT_KEY'),
    said(['tls', 'serverName'], 'CONSUL_TLS_SERVER_NAME'),
    {
      field: ['tls', 'verify'],
      origin: 'CONSUL_HTTP_SSL_VERIFY',
      value: verify === false ? false : undefined,
    },
  ];
}

/** HOST:PORT without a scheme is good there; CONSUL_HTTP_SSL makes it https, also where http is written. */
function consulAddress(env: Env): Filling {
  const origin = env['CONSUL_HTTP_ADDR'] ? 'CONSUL_HTTP_ADDR' : 'CONSUL_HTTP_SSL';
  const ssl = flag(env['CONSUL_HTTP_SSL']) === true;
  const address = env['CONSUL_HTTP_ADDR'] || (ssl ? '127.0.0.1:8500' : '');
  const bare = address.replace(/^http:\/\//, '');
  const isOther = bare.includes('://');
  const value = isOther || bare === '' ? bare : `${ssl ? 'https' : 'http'}://${bare}`;
  return { field: ['address'], origin, value };
}

/** What Go takes for a truth value (strconv.ParseBool); undefined: not said, or nothing that it takes. */
function flag(text = ''): boolean | undefined {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  return /^(0|f|F|FALSE|false|False)$/.test(text) ? false : undefined;
}

const absolute = (file = ''): string => (file === '' ? '' : resolve(file));

/** What etcdctl reads. User and password are one text, USER:PASSWORD, there. */
function etcdFillings(env: Env): Filling[] {
  const [username = '', ...password] = (env['ETCDCTL_USER'] ?? '').split(':');
  const secret = password.join(':') || env['ETCDCTL_PASSWORD'];
  return [
    { field: ['endpoints'], origin: 'ETCDCTL_ENDPOINTS', value: env['ETCDCTL_ENDPOINTS'] },
    { field: ['auth', 'username'], origin: 'ETCDCTL_USER', value: username },
    { field: ['auth', 'password'], origin: 'ETCDCTL_USER', value: secret },
    { field: ['tls', 'ca'], origin: 'ETCDCTL_CACERT', value: absolute(env['ETCDCTL_CACERT']) },
    { field: ['tls', 'cert'], origin: 'ETCDCTL_CERT', value: absolute(env['ETCDCTL_CERT']) },
    { field: ['tls', 'key'], origin: 'ETCDCTL_KEY', value: absolute(env['ETCDCTL_KEY']) },
  ];
}

/** What Spring's Eureka client reads: URLs with commas between them. */
function eurekaFillings(env: Env): Filling[] {
  const origin = 'EUREKA_CLIENT_SERVICEURL_DEFAULTZONE';
  return [{ field: ['urls'], origin, value: env[origin] }];
}
