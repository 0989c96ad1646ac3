// Reads isthmus.yaml. Either a whole, valid config or every problem at once, each with its line and column;
// never half a config, and nothing is started from here.
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DEFAULT_RULES } from '../model/rules.ts';
import { readYaml } from './document.ts';
import type { YamlText } from './document.ts';
import { SOURCE_KINDS, explainIssue, show, valueAt } from './explain.ts';
import type { Env, Override } from './neighbours.ts';
import { applyOverrides, collectOverrides, originOf } from './overrides.ts';
import type { Flags } from './overrides.ts';
import { sourcesNamedBy } from './policy.ts';
import { CONFIG_INVALID, CONFIG_UNREADABLE, formatPath, sortProblems } from './problems.ts';
import type { ConfigProblem, FieldPath } from './problems.ts';
import { knownSources } from './known-sources.ts';
import { configSchema } from './schema.ts';
import type { Config } from './schema.ts';
import { didYouMean, nearest } from './suggest.ts';
import type { XdsTls } from './xds.ts';

export interface LoadOptions {
  readonly flags?: Flags;
  /** Default: none, so that tests see only what they give. The CLI passes process.env. */
  readonly env?: Env;
}

/**
 * @param file as the user named it; problems repeat it as given.
 * @throws ISTHMUS_CONFIG_UNREADABLE, ISTHMUS_CONFIG_INVALID
 */
export async function loadConfig(file: string, options: LoadOptions = {}): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw CONFIG_UNREADABLE.from(cause, file);
  }
  const result = parseConfig(text, file, options);
  if (!result.ok) throw CONFIG_INVALID(result.problems);
  return result.config;
}

export type ParseResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** The same without I/O. Paths in the result are absolute, from the directory of `file`. */
export function parseConfig(text: string, file: string, options: LoadOptions = {}): ParseResult {
  const yaml = readYaml(text, file);
  const unusable = yaml.usable ? shapeProblem(yaml, file) : yaml.problems;
  if (unusable) return { ok: false, problems: sortProblems(unusable) };

  const overrides = collectOverrides(yaml.data, options.flags ?? {}, options.env ?? {});
  const place = placer(yaml, file, overrides);
  const problems = [...yaml.problems, ...duplicateNames(yaml.data, place)];
  const kinds = settleKinds(applyOverrides(yaml.data, overrides), place);
  problems.push(...kinds.problems);

  const parsed = configSchema.safeParse(kinds.data);
  for (const issue of parsed.error?.issues ?? []) {
    for (const { path, message, atKey } of explainIssue(issue, kinds.data)) {
      if (kinds.problems.some((known) => formatPath(known.path) === formatPath(path))) continue;
      problems.push({ ...place(path, atKey), path, message });
    }
  }
  if (parsed.success) problems.push(...strangeSources(parsed.data, place));
  if (!parsed.success || problems.length > 0) return { ok: false, problems: sortProblems(problems) };
  return { ok: true, config: resolvePaths(parsed.data, dirname(resolve(file))) };
}

type Place = Pick<ConfigProblem, 'origin' | 'line' | 'column'>;
type Placer = (path: FieldPath, atKey?: boolean) => Place;

function placer(yaml: YamlText, file: string, overrides: readonly Override[]): Placer {
  return (path, atKey = false) =>
    originOf(overrides, path) ?? { origin: file, ...(atKey ? yaml.keyAt(path) : yaml.valueAt(path)) };
}

/** A file that has no fields at all. */
function shapeProblem(yaml: YamlText, file: string): readonly ConfigProblem[] | undefined {
  const at = { origin: file, line: 1, column: 1, path: [] };
  if (yaml.empty) return [{ ...at, message: 'the file is empty; a config needs at least "sources:"' }];
  if (typeof yaml.data === 'object' && !Array.isArray(yaml.data)) return undefined;
  return [{ ...at, message: `expected a mapping with "sources:", got ${show(yaml.data)}` }];
}

/** Sources that `merge.policy` names and nobody knows. */
function strangeSources(config: Config, place: Placer): readonly ConfigProblem[] {
  const known = knownSources(config);
  return sourcesNamedBy(config.merge.policy ?? DEFAULT_RULES.policy).flatMap(([name, below]) => {
    if (known.has(name)) return [];
    const path = ['merge', 'policy', ...below];
    return [{ ...place(path), path, message: `unknown source "${name}"${didYouMean(name, known.names)}` }];
  });
}

/** By hand, not in the schema: a source that is wrong elsewhere still must not hide this. */
function duplicateNames(data: unknown, place: Placer): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const first = new Map<string, number>();
  listOf(data).forEach((source, index) => {
    const name = valueAt(source, ['name']);
    if (typeof name !== 'string') return;
    const earlier = first.get(name);
    if (earlier === undefined) {
      first.set(name, index);
      return;
    }
    const path = ['sources', index, 'name'];
    problems.push({ ...place(path), path, message: `"${name}" is already the name of sources[${earlier}]` });
  });
  return problems;
}

/** An unknown kind is read as the one that was probably meant, so that the source's other faults show too. */
function settleKinds(data: unknown, place: Placer) {
  const problems: ConfigProblem[] = [];
  const unknown = new Map<number, string>();
  listOf(data).forEach((source, index) => {
    const kind = valueAt(source, ['kind']);
    if (typeof kind !== 'string' || SOURCE_KINDS.includes(kind)) return;
    const path = ['sources', index, 'kind'];
    const message = `unknown kind "${kind}"${didYouMean(kind, SOURCE_KINDS)}`;
    problems.push({ ...place(path), path, message });
    unknown.set(index, nearest(kind, SOURCE_KINDS) ?? '');
  });
  if (unknown.size === 0) return { data, problems };
  const sources = listOf(data).flatMap((source, index) => {
    const meant = unknown.get(index);
    return meant === undefined ? [source] : [{ ...(source as object), kind: meant }];
  });
  return { data: { ...(data as object), sources }, problems };
}

function listOf(data: unknown): readonly unknown[] {
  const sources = valueAt(data, ['sources']);
  return Array.isArray(sources) ? sources : [];
}

/** Paths in a config mean the same wherever the command was started. */
function resolvePaths(config: Config, base: string): Config {
  const sources = config.sources.map((source) => {
    if (source.kind === 'file') return { ...source, path: resolve(base, source.path) };
    if (source.kind === 'sidecar' && source.tokensFile !== '') {
      return { ...source, tokensFile: resolve(base, source.tokensFile) };
    }
    if (source.kind === 'kubernetes' && source.kubeconfig !== '') {
      return { ...source, kubeconfig: resolve(base, source.kubeconfig) };
    }
    if (source.kind === 'etcd' || source.kind === 'eureka')
      return { ...source, tls: resolveTls(source.tls, base) };
    if (source.kind === 'consul') {
      return { ...source, tls: resolveTls(source.tls, base), tokenFile: resolveFile(source.tokenFile, base) };
    }
    if (source.kind === 'nacos') {
      const passwordFile = resolveFile(source.passwordFile, base);
      const tokenFile = resolveFile(source.tokenFile, base);
      return { ...source, tls: resolveTls(source.tls, base), passwordFile, tokenFile };
    }
    return source;
  });
  return {
    ...config,
    sources,
    resources: config.resources.map((path) => resolve(base, path)),
    dataDir: resolveFile(config.dataDir, base),
    admin: { ...config.admin, tokenFile: resolveFile(config.admin.tokenFile, base) },
    xds: { ...config.xds, tls: resolveXdsTls(config.xds.tls, base) },
  };
}

type TlsFiles = Readonly<Record<'ca' | 'cert' | 'key', string>>;

const resolveFile = (file: string, base: string): string => (file === '' ? '' : resolve(base, file));

function resolveTls<T extends TlsFiles>(tls: T | undefined, base: string): T | undefined {
  if (tls === undefined) return undefined;
  const { ca, cert, key } = tls;
  return {
    ...tls,
    ca: resolveFile(ca, base),
    cert: resolveFile(cert, base),
    key: resolveFile(key, base),
  };
}

function resolveXdsTls(tls: XdsTls | undefined, base: string): XdsTls | undefined {
  if (tls === undefined) return undefined;
  const { cert, key, clientCa, identitiesFile } = tls;
  return {
    ...tls,
    cert: resolve(base, cert),
    key: resolve(base, key),
    clientCa: resolve(base, clientCa),
    identitiesFile: resolveFile(identitiesFile, base),
  };
}
