// Resources in files: everything that `resources:` names, read as one. Either all of it is good, or none of it
// counts and every problem is told with file, line and column.
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../lib/errors.ts';
import { DEFAULT_NAMESPACE } from '../model/names.ts';
import type { ServiceRules } from '../model/rules.ts';
import { readYamlDocuments } from './document.ts';
import type { YamlText } from './document.ts';
import { explainIssue, show, valueAt } from './explain.ts';
import type { KnownSources } from './known-sources.ts';
import { rulesFrom, sourcesNamedBy } from './policy.ts';
import { RESOURCES_INVALID, sortProblems } from './problems.ts';
import type { ConfigProblem, FieldPath } from './problems.ts';
import { API_VERSION, serviceOf, servicePolicy } from './service-policy.ts';
import type { ServicePolicy } from './service-policy.ts';
import { didYouMean } from './suggest.ts';

export const KINDS: readonly string[] = ['ServicePolicy'];

interface ResourceFile {
  readonly file: string;
  readonly text: string;
}

export interface Resources {
  readonly rules: ReadonlyMap<string, ServiceRules>;
  /** By service, for those whose `policy` is in a ServicePolicy: which one, and where. */
  readonly policyOrigins: ReadonlyMap<string, string>;
  /** How many there are, of any kind. */
  readonly count: number;
  /** In the order of the files. */
  readonly found: readonly FoundResource[];
}

export interface ResourceRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface FoundResource extends ResourceRef {
  /** Of what it is about: two about one service contradict each other. */
  readonly service: string;
  /** FILE:LINE */
  readonly at: string;
  readonly document: unknown;
}

/** `ServicePolicy default/orders` */
export const refText = ({ kind, namespace, name }: ResourceRef): string => `${kind} ${namespace}/${name}`;

export interface ResourceContext {
  /** What a policy's open fields mean. */
  readonly base: ServiceRules;
  /** undefined: not known here, so nobody can say that a policy names a wrong one. */
  readonly sources?: KnownSources;
}

/**
 * Files by name; of a directory those that end in .yaml, .yml or .json, not those of directories in it.
 * @throws ISTHMUS_RESOURCES_INVALID for what cannot be read.
 */
export async function resourceFiles(paths: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    paths.map(async (path) => {
      try {
        if (!(await stat(path)).isDirectory()) return [path];
        const names = (await readdir(path)).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name));
        return names.sort().map((name) => join(path, name));
      } catch (thrown) {
        throw unreadable(path, thrown);
      }
    }),
  );
  return [...new Set(found.flat())];
}

/** @throws ISTHMUS_RESOURCES_INVALID with every problem of every file. */
export async function loadResources(paths: readonly string[], context: ResourceContext): Promise<Resources> {
  const files = await resourceFiles(paths);
  const texts = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(file, 'utf8').catch((thrown: unknown) => {
        throw unreadable(file, thrown);
      });
      return { file, text };
    }),
  );
  return parseResources(texts, context);
}

const unreadable = (file: string, thrown: unknown) =>
  RESOURCES_INVALID.from(thrown, [
    { origin: file, line: 0, column: 0, path: [], message: `cannot be read: ${describeError(thrown)}` },
  ]);

/** The same without I/O. @throws ISTHMUS_RESOURCES_INVALID */
export function parseResources(files: readonly ResourceFile[], context: ResourceContext): Resources {
  const { problems, ...resources } = readResources(files, context);
  if (problems.length > 0) throw RESOURCES_INVALID(problems);
  return resources;
}

/** What there is without those that have a problem. */
export function readResources(
  files: readonly ResourceFile[],
  context: ResourceContext,
): Resources & { readonly problems: readonly ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  const found: FoundResource[] = [];
  const rules = new Map<string, ServiceRules>();
  const policyOrigins = new Map<string, string>();
  const places = new Map<string, string>();
  let count = 0;
  for (const { file, text } of files) {
    const own: ConfigProblem[] = [];
    // Most likely it is just being written; nobody means to take policies back in this way.
    if (text.trim() === '')
      own.push({ origin: file, line: 1, column: 1, path: [], message: 'the file is empty' });
    for (const yaml of readYamlDocuments(text, file)) {
      if (yaml.empty && yaml.usable) continue;
      count += 1;
      const policy = readPolicy(yaml, file, context, own);
      if (!policy) continue;
      const service = serviceOf(policy);
      const at = yaml.valueAt(['spec', 'service']);
      const earlier = places.get(service);
      if (earlier !== undefined) {
        const path = ['spec', 'service'];
        own.push({ origin: file, ...at, path, message: `"${service}" has a policy at ${earlier} already` });
      }
      places.set(service, `${file}:${at.line}`);
      const { kind, metadata } = policy;
      const namespace = metadata.namespace ?? DEFAULT_NAMESPACE;
      found.push({
        kind,
        namespace,
        name: metadata.name,
        service,
        at: `${file}:${at.line}`,
        document: yaml.data,
      });
      rules.set(service, rulesFrom(policy.spec, context.base));
      if (policy.spec.policy) {
        const { line } = yaml.valueAt(['spec', 'policy']);
        policyOrigins.set(service, `ServicePolicy ${policy.metadata.name} (${file}:${line})`);
      }
    }
    problems.push(...sortProblems(own));
  }
  return { rules, policyOrigins, count, found, problems };
}

/** One resource, or its problems added to `problems`. */
function readPolicy(
  yaml: YamlText,
  file: string,
  { sources }: ResourceContext,
  problems: ConfigProblem[],
): ServicePolicy | undefined {
  const add = (path: FieldPath, message: string, atKey = false) =>
    problems.push({ origin: file, ...(atKey ? yaml.keyAt(path) : yaml.valueAt(path)), path, message });
  const before = problems.length;
  problems.push(...yaml.problems);
  if (!yaml.usable) return undefined;
  const kind = valueAt(yaml.data, ['kind']);
  if (typeof kind !== 'string' || !KINDS.includes(kind)) {
    const hint = typeof kind === 'string' ? didYouMean(kind, KINDS) : '';
    add(
      kind === undefined ? [] : ['kind'],
      `expected a resource of kind ${KINDS.join(', ')}, got ${show(kind)}${hint}`,
    );
    return undefined;
  }
  const parsed = servicePolicy.safeParse(yaml.data);
  for (const issue of parsed.error?.issues ?? []) {
    for (const { path, message, atKey } of explainIssue(issue, yaml.data, servicePolicy))
      add(path, message, atKey);
  }
  for (const [name, path] of parsed.success && parsed.data.spec.policy
    ? sourcesNamedBy(parsed.data.spec.policy)
    : []) {
    if (sources && !sources.has(name)) {
      add(['spec', 'policy', ...path], `unknown source "${name}"${didYouMean(name, sources.names)}`);
    }
  }
  return parsed.success && problems.length === before ? parsed.data : undefined;
}

/** Whether a text holds resources, not a config: something in it says what kind it is. */
export function holdsResources(text: string, origin: string): boolean {
  return readYamlDocuments(text, origin).some(
    ({ data }) => valueAt(data, ['kind']) !== undefined || valueAt(data, ['apiVersion']) === API_VERSION,
  );
}
