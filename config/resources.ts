// Resources in files: everything that `resources:` names, read as one. Either all of it is good, or none of it
// counts and every problem is told with file, line and column.
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../lib/errors.ts';
import type { MigrationSpec } from '../model/migration.ts';
import type { ServiceRules } from '../model/rules.ts';
import type { RuntimeLayer } from '../model/runtime.ts';
import type { SidecarScope } from '../model/scope.ts';
import { readYamlDocuments } from './document.ts';
import type { YamlText } from './document.ts';
import { explainIssue, show, valueAt } from './explain.ts';
import type { KnownSources } from './known-sources.ts';
import { KINDS, NOUNS, kindOf, placeOfOwner } from './kinds.ts';
import type { Meant, ResourceKind } from './kinds.ts';
import { API_VERSION } from './metadata.ts';
import { RESOURCES_INVALID, sortProblems } from './problems.ts';
import type { ConfigProblem, FieldPath } from './problems.ts';
import { didYouMean } from './suggest.ts';

interface ResourceFile {
  readonly file: string;
  readonly text: string;
}

export interface Resources {
  readonly rules: ReadonlyMap<string, ServiceRules>;
  /** By service, for those whose `policy` is in a ServicePolicy: which one, and where. */
  readonly policyOrigins: ReadonlyMap<string, string>;
  /** By service: how it moves, and which resource says so. */
  readonly migrations: ReadonlyMap<string, PlacedMigration>;
  /** By what they select: what data planes are told of. */
  readonly sidecars: ReadonlyMap<string, SidecarScope>;
  /** By name: what Envoys look up while they serve. */
  readonly layers: ReadonlyMap<string, RuntimeLayer>;
  /** How many there are, of any kind. */
  readonly count: number;
  /** In the order of the files. */
  readonly found: readonly FoundResource[];
}

export interface PlacedMigration {
  readonly spec: MigrationSpec;
  readonly origin: string;
}

export interface ResourceRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface FoundResource extends ResourceRef {
  readonly kind: ResourceKind;
  /** Of what it is about: two of one kind about one service contradict each other. */
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
  const all = new Collected();
  for (const { file, text } of files) {
    const own: ConfigProblem[] = [];
    // Most likely it is just being written; nobody means to take policies back in this way.
    if (text.trim() === '')
      own.push({ origin: file, line: 1, column: 1, path: [], message: 'the file is empty' });
    for (const yaml of readYamlDocuments(text, file)) {
      if (yaml.empty && yaml.usable) continue;
      all.count += 1;
      const meant = readOne(yaml, file, context, own);
      if (meant) all.add(meant, yaml, file, own);
    }
    problems.push(...sortProblems(own));
  }
  return { ...all.resources(), problems };
}

class Collected {
  count = 0;
  readonly #found: FoundResource[] = [];
  readonly #rules = new Map<string, ServiceRules>();
  readonly #policyOrigins = new Map<string, string>();
  readonly #migrations = new Map<string, PlacedMigration>();
  readonly #sidecars = new Map<string, SidecarScope>();
  readonly #layers = new Map<string, RuntimeLayer>();
  /** By kind and service. */
  readonly #places = new Map<string, string>();

  add(meant: Meant, yaml: YamlText, file: string, problems: ConfigProblem[]): void {
    const { kind, service, namespace, name } = meant;
    const path = placeOfOwner(kind);
    const at = yaml.valueAt(path);
    const key = `${kind} ${service}`;
    const earlier = this.#places.get(key);
    if (earlier !== undefined) {
      const message = `"${service}" has a ${NOUNS[kind]} at ${earlier} already`;
      problems.push({ origin: file, ...at, path, message });
    }
    const place = `${file}:${at.line}`;
    this.#places.set(key, place);
    this.#found.push({ kind, namespace, name, service, at: place, document: yaml.data });
    if (kind === 'Migration') {
      this.#migrations.set(service, { spec: meant.spec, origin: `Migration ${name} (${place})` });
      return;
    }
    if (kind === 'Sidecar') {
      this.#sidecars.set(service, meant.scope);
      return;
    }
    if (kind === 'RuntimeLayer') {
      this.#layers.set(service, meant.layer);
      return;
    }
    this.#rules.set(service, meant.rules);
    if (!meant.saysPolicy) return;
    const { line } = yaml.valueAt(['spec', 'policy']);
    this.#policyOrigins.set(service, `ServicePolicy ${name} (${file}:${line})`);
  }

  resources(): Resources {
    return {
      rules: this.#rules,
      policyOrigins: this.#policyOrigins,
      migrations: this.#migrations,
      sidecars: this.#sidecars,
      layers: this.#layers,
      count: this.count,
      found: this.#found,
    };
  }
}

/** One resource, or its problems added to `problems`. */
function readOne(
  yaml: YamlText,
  file: string,
  { base, sources }: ResourceContext,
  problems: ConfigProblem[],
): Meant | undefined {
  const add = (path: FieldPath, message: string, atKey = false) =>
    problems.push({ origin: file, ...(atKey ? yaml.keyAt(path) : yaml.valueAt(path)), path, message });
  const before = problems.length;
  problems.push(...yaml.problems);
  if (!yaml.usable) return undefined;
  const named = valueAt(yaml.data, ['kind']);
  const kind = kindOf(named);
  if (!kind) {
    const hint = typeof named === 'string' ? didYouMean(named, KINDS) : '';
    add(
      named === undefined ? [] : ['kind'],
      `expected a resource of kind ${KINDS.join(' or ')}, got ${show(named)}${hint}`,
    );
    return undefined;
  }
  const read = kind.read(yaml.data, base);
  for (const issue of read.issues) {
    for (const { path, message, atKey } of explainIssue(issue, yaml.data, kind.schema))
      add(path, message, atKey);
  }
  for (const [path, message] of read.faults) add(path, message);
  for (const [name, path] of read.sources) {
    if (sources && !sources.has(name)) {
      add(path, `unknown source "${name}"${didYouMean(name, sources.names)}`);
    }
  }
  return problems.length === before ? read.meant : undefined;
}

/** Whether a text holds resources, not a config: something in it says what kind it is. */
export function holdsResources(text: string, origin: string): boolean {
  return readYamlDocuments(text, origin).some(
    ({ data }) => valueAt(data, ['kind']) !== undefined || valueAt(data, ['apiVersion']) === API_VERSION,
  );
}
