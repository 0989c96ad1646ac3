// Where a value may come from besides the file, and who wins: flag, then ISTHMUS_… variable, then file,
// then default. A neighbour's variable (CONSUL_HTTP_ADDR) fills in only what the file leaves open, because
// one variable cannot speak for several sources that the file tells apart.
import type { ConfigProblem, FieldPath } from './problems.ts';
import { valueAt } from './explain.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** Values of flags by field, such as `{ 'xds.plaintext': '127.0.0.1:0' }`; undefined: not given. */
export type Flags = Readonly<Partial<Record<ScalarField, string | undefined>>>;

export type ScalarField = 'xds.plaintext' | 'admin.listen' | 'logLevel';

interface Scalar {
  readonly field: ScalarField;
  readonly flag: string;
  readonly variable: string;
}

/** Every setting that a flag or a variable can give. */
export const SCALARS: readonly Scalar[] = [
  { field: 'xds.plaintext', flag: '--xds', variable: 'ISTHMUS_XDS_PLAINTEXT' },
  { field: 'admin.listen', flag: '--admin', variable: 'ISTHMUS_ADMIN_LISTEN' },
  { field: 'logLevel', flag: '--log-level', variable: 'ISTHMUS_LOG_LEVEL' },
];

/** A value that did not come from the file: complaints about it name its origin instead of a line. */
export interface Override {
  readonly path: FieldPath;
  readonly origin: string;
  readonly value: string;
}

export function collectOverrides(data: unknown, flags: Flags, env: Env): readonly Override[] {
  const overrides: Override[] = [];
  for (const { field, flag, variable } of SCALARS) {
    const path = field.split('.');
    const fromFlag = flags[field];
    const fromEnv = env[variable];
    if (fromFlag !== undefined) overrides.push({ path, origin: flag, value: fromFlag });
    else if (fromEnv !== undefined && fromEnv !== '')
      overrides.push({ path, origin: variable, value: fromEnv });
  }
  return [
    ...overrides,
    ...consulOverrides(data, env),
    ...etcdOverrides(data, env),
    ...eurekaOverrides(data, env),
  ];
}

/** What Spring's Eureka client reads: URLs with commas between them. */
function eurekaOverrides(data: unknown, env: Env): readonly Override[] {
  const origin = 'EUREKA_CLIENT_SERVICEURL_DEFAULTZONE';
  const value = env[origin];
  const sources = valueAt(data, ['sources']);
  if (!value || !Array.isArray(sources)) return [];
  return sources.flatMap((source: unknown, index): Override[] => {
    const isOpen = valueAt(source, ['kind']) === 'eureka' && valueAt(source, ['urls']) === undefined;
    return isOpen ? [{ path: ['sources', index, 'urls'], origin, value }] : [];
  });
}

/** What etcdctl reads. User and password are one text, USER:PASSWORD, there. */
function etcdOverrides(data: unknown, env: Env): readonly Override[] {
  const sources = valueAt(data, ['sources']);
  if (!Array.isArray(sources)) return [];
  const [username = '', ...password] = (env['ETCDCTL_USER'] ?? '').split(':');
  return sources.flatMap((source: unknown, index): Override[] => {
    if (valueAt(source, ['kind']) !== 'etcd') return [];
    const found: Override[] = [];
    const fill = (field: readonly string[], origin: string, value: string | undefined) => {
      // A mapping that the file began is the file's: parts of two origins would not fit together.
      if (value && valueAt(source, field.slice(0, 1)) === undefined) {
        found.push({ path: ['sources', index, ...field], origin, value });
      }
    };
    fill(['endpoints'], 'ETCDCTL_ENDPOINTS', env['ETCDCTL_ENDPOINTS']);
    fill(['auth', 'username'], 'ETCDCTL_USER', username);
    fill(['auth', 'password'], 'ETCDCTL_USER', password.join(':') || env['ETCDCTL_PASSWORD']);
    fill(['tls', 'ca'], 'ETCDCTL_CACERT', env['ETCDCTL_CACERT']);
    fill(['tls', 'cert'], 'ETCDCTL_CERT', env['ETCDCTL_CERT']);
    fill(['tls', 'key'], 'ETCDCTL_KEY', env['ETCDCTL_KEY']);
    return found;
  });
}

function consulOverrides(data: unknown, env: Env): readonly Override[] {
  const sources = valueAt(data, ['sources']);
  if (!Array.isArray(sources)) return [];
  return sources.flatMap((source: unknown, index): Override[] => {
    if (valueAt(source, ['kind']) !== 'consul') return [];
    const found: Override[] = [];
    const fill = (field: string, origin: string, value: string | undefined) => {
      if (value && valueAt(source, [field]) === undefined) {
        found.push({ path: ['sources', index, field], origin, value });
      }
    };
    fill('address', 'CONSUL_HTTP_ADDR', consulAddress(env));
    fill('token', 'CONSUL_HTTP_TOKEN', env['CONSUL_HTTP_TOKEN']);
    return found;
  });
}

/** Consul's own tools take HOST:PORT without a scheme; CONSUL_HTTP_SSL then chooses it. */
function consulAddress(env: Env): string | undefined {
  const address = env['CONSUL_HTTP_ADDR'];
  if (!address || address.includes('://')) return address;
  const ssl = ['1', 'true'].includes((env['CONSUL_HTTP_SSL'] ?? '').toLowerCase());
  return `${ssl ? 'https' : 'http'}://${address}`;
}

/** A copy of the data with the overrides in place. Parents that are not mappings are left for the schema. */
export function applyOverrides(data: unknown, overrides: readonly Override[]): unknown {
  const copy: unknown = structuredClone(data);
  for (const { path, value } of overrides) {
    let parent: unknown = copy;
    for (const part of path.slice(0, -1)) {
      if (!isRecord(parent)) break;
      parent[part] ??= {};
      parent = parent[part];
    }
    const last = path[path.length - 1];
    if (isRecord(parent) && last !== undefined) parent[last] = value;
  }
  return copy;
}

const isRecord = (value: unknown): value is Record<string | number, unknown> =>
  typeof value === 'object' && value !== null;

/** The problem of a value that came from a flag or a variable: its origin, no line. */
export function originOf(
  overrides: readonly Override[],
  path: FieldPath,
): Pick<ConfigProblem, 'origin' | 'line' | 'column'> | undefined {
  // Also for what stands inside: a text may stand for a list, and the complaint be about one item of it.
  const found = overrides.find((o) => o.path.every((part, index) => part === path[index]));
  return found && { origin: found.origin, line: 0, column: 0 };
}
