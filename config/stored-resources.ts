// Resources that came over the API beside those in files: whether one may be stored, and what counts of both
// together. A file wins: what is in files is what somebody reviewed, and a control plane that starts reads it
// first. Pure, and the same on every replica with the same files.
import type { ServiceRules } from '../model/rules.ts';
import { formatPath } from './problems.ts';
import { KINDS, NOUNS, kindOf, placeOfOwner } from './kinds.ts';
import { readResources, refText } from './resources.ts';
import type { FoundResource, PlacedMigration, ResourceContext, ResourceRef, Resources } from './resources.ts';
import { didYouMean } from './suggest.ts';

/** A resource as it was stored, in the order in which they were: who came first has its service. */
export interface StoredDocument extends ResourceRef {
  /** Another one for each change. */
  readonly revision: string;
  readonly by: string;
  readonly document: object;
}

export interface MergedResources
  extends Pick<Resources, 'rules' | 'policyOrigins' | 'migrations' | 'sidecars' | 'layers' | 'count'> {
  /** By refText(), for those stored that do not count, or name what is not there: why. */
  readonly problems: ReadonlyMap<string, string>;
}

/** Everything that is wrong with a document for this name, in words; none: it may be stored. */
export function problemsOf(
  document: object,
  ref: ResourceRef,
  files: Resources,
  stored: readonly StoredDocument[],
  context: ResourceContext,
): readonly string[] {
  if (!kindOf(ref.kind)) {
    return [
      `expected a resource of kind ${KINDS.join(' or ')}, got ${ref.kind}${didYouMean(ref.kind, KINDS)}`,
    ];
  }
  const { problems, found } = readResources([asFile(document)], context);
  const texts = problems.map(({ path, message }) => {
    const field = formatPath(path);
    return field === '' ? message : `${field}: ${message}`;
  });
  const [own] = found;
  if (!own) return texts;
  if (refText(own) !== refText(ref)) texts.push(`it is ${refText(own)}, and was sent as ${refText(ref)}`);
  const others = stored.filter((other) => refText(other) !== refText(ref));
  const taken = takenBy(own, files, others, context);
  return taken === undefined ? texts : [...texts, taken];
}

/** Who has the service already. */
function takenBy(
  own: FoundResource,
  files: Resources,
  stored: readonly StoredDocument[],
  context: ResourceContext,
): string | undefined {
  const { service } = own;
  const rivals = (other: FoundResource | undefined) => other && ownerKey(other) === ownerKey(own);
  const inFile = files.found.find(rivals);
  const place = formatPath(placeOfOwner(own.kind));
  if (inFile) return `${place}: "${service}" has a ${nounOf(own)} at ${inFile.at} already`;
  const other = stored.find(({ document }) => rivals(readOne(document, context).found[0]));
  return other && `${place}: "${service}" has a ${nounOf(own)} already: ${refText(other)}`;
}

const ownerKey = ({ kind, service }: Pick<FoundResource, 'kind' | 'service'>): string => `${kind} ${service}`;

const nounOf = ({ kind }: Pick<FoundResource, 'kind'>): string => NOUNS[kind];

/** The service that a stored document is about; undefined when it cannot be read here. */
export const serviceIn = (document: object, context: ResourceContext): string | undefined =>
  readOne(document, context).found[0]?.service;

/** Where a file has the same name. */
export const inFiles = (ref: ResourceRef, files: Resources): FoundResource | undefined =>
  files.found.find((found) => refText(found) === refText(ref));

/** @param parsed remembers what was read, by revision; what is not stored any more is forgotten. */
export function mergeStored(
  files: Resources,
  stored: readonly StoredDocument[],
  context: ResourceContext,
  parsed: Map<string, ReadResult> = new Map(),
): MergedResources {
  const rules = new Map<string, ServiceRules>(files.rules);
  const policyOrigins = new Map(files.policyOrigins);
  const migrations = new Map<string, PlacedMigration>(files.migrations);
  const sidecars = new Map(files.sidecars);
  const layers = new Map(files.layers);
  const owners = new Map(files.found.map((found) => [ownerKey(found), found.at]));
  const problems = new Map<string, string>();
  const seen = new Set<string>();
  let { count } = files;
  for (const each of stored) {
    seen.add(each.revision);
    const read = parsed.get(each.revision) ?? readOne(each.document, context);
    parsed.set(each.revision, read);
    const [own] = read.found;
    const problem = problemIn(each, read, files, owners);
    if (problem !== undefined) problems.set(refText(each), problem);
    if (!own || owners.has(ownerKey(own)) || inFiles(each, files)) continue;
    owners.set(ownerKey(own), refText(each));
    const origin = `${refText(each)} (applied by ${each.by || 'an operator'})`;
    const rule = read.rules.get(own.service);
    if (rule) rules.set(own.service, rule);
    if (read.policyOrigins.has(own.service)) policyOrigins.set(own.service, origin);
    const migration = read.migrations.get(own.service);
    if (migration) migrations.set(own.service, { ...migration, origin });
    const sidecar = read.sidecars.get(own.service);
    if (sidecar) sidecars.set(own.service, sidecar);
    const layer = read.layers.get(own.service);
    if (layer) layers.set(own.service, layer);
    count += 1;
  }
  for (const revision of parsed.keys()) if (!seen.has(revision)) parsed.delete(revision);
  return { rules, policyOrigins, migrations, sidecars, layers, count, problems };
}

function problemIn(
  ref: ResourceRef,
  { found, problems, strangers }: ReadResult,
  files: Resources,
  owners: ReadonlyMap<string, string>,
): string | undefined {
  const file = inFiles(ref, files);
  if (file) return `${refText(ref)} is at ${file.at}, too: the file counts`;
  const [own] = found;
  if (!own) return problems.map(({ path, message }) => `${formatPath(path)}: ${message}`).join('; ');
  const owner = owners.get(ownerKey(own));
  if (owner !== undefined) return `"${own.service}" has a ${nounOf(own)} already: ${owner}`;
  return strangers;
}

export interface ReadResult extends ReturnType<typeof readResources> {
  /** Something that it names and that is not there; it counts all the same, or its service would lose its policy. */
  readonly strangers: string | undefined;
}

function readOne(document: object, context: ResourceContext): ReadResult {
  const { problems } = readResources([asFile(document)], context);
  const result = readResources([asFile(document)], { base: context.base });
  const isStrange = result.problems.length === 0 && problems.length > 0;
  const strangers = problems.map(({ message }) => message).join('; ');
  return { ...result, strangers: isStrange ? strangers : undefined };
}

/** JSON is YAML; its lines mean nothing to who sent it. */
const asFile = (document: object) => ({ file: 'API', text: JSON.stringify(document) });
