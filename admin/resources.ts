// The routes of resources: read by everybody, written by operators with the token, as overrides are. What a
// document may say is checked where it is stored; here only who writes what under which name.
import type { Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { IsthmusError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ADMIN_BODY, ADMIN_BODY_SIZE, ADMIN_NOT_FOUND } from './errors.ts';
import { etag, expectedRevision } from './expected.ts';
import { guardWrites } from './guard-writes.ts';
import { jsonOf } from './override-body.ts';
import { rfc3339 } from './reasons.ts';
import { refuse } from './refuse.ts';
import type { WriteGuard } from './token.ts';
import type { ResourceAppliedJson, ResourceDeletedJson, ResourceJson } from './types.ts';

const MAX_BODY = 256 * 1024;

/** Where resources may be written. */
export const RESOURCE_PATH = '/api/v1/resources/:kind/:namespace/:name';

export interface ResourceName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface ShownResource extends ResourceName {
  /** FILE:LINE; '' when it came over the API. */
  readonly file: string;
  readonly document: unknown;
  /** Milliseconds since the epoch; undefined for one in a file. */
  readonly since?: number;
  readonly by: string;
  /** '' for one in a file. */
  readonly revision: string;
  /** Why it does not count, or what is wrong with it; '' when nothing is. */
  readonly problem: string;
}

/** Resources in files and over the API, as one. */
export interface ResourceDesk {
  list(): readonly ShownResource[];
  /** @throws ISTHMUS_RESOURCE_REFUSED, ISTHMUS_RESOURCE_IN_FILE, ISTHMUS_REVISION_CONFLICT */
  put(
    name: ResourceName,
    document: object,
    by: string,
    expected: string | null | undefined,
  ): Promise<{
    readonly resource: ShownResource | undefined;
    readonly outcome: ResourceAppliedJson['outcome'];
    readonly notes: readonly string[];
  }>;
  /** @throws ISTHMUS_RESOURCE_IN_FILE, ISTHMUS_REVISION_CONFLICT */
  remove(
    name: ResourceName,
    by: string,
    expected: string | null | undefined,
  ): Promise<{ readonly removed: ShownResource | undefined; readonly notes: readonly string[] }>;
}

export interface ResourceDeps {
  readonly resources: ResourceDesk;
  readonly mayWrite: WriteGuard;
  readonly log: Logger;
}

export function resourceRoutes(app: Hono, deps: ResourceDeps): void {
  const { resources } = deps;
  const some = (c: Context) => {
    const [kind, namespace] = [c.req.param('kind'), c.req.param('namespace')];
    const items = resources
      .list()
      .filter((r) => (kind === undefined || r.kind === kind) && (namespace ?? r.namespace) === r.namespace);
    return c.json({ items: items.map(resourceJson) });
  };
  app.get('/api/v1/resources', some);
  app.get('/api/v1/resources/:kind', some);
  app.get('/api/v1/resources/:kind/:namespace', some);
  app.get(RESOURCE_PATH, (c) => {
    const wanted = nameOf(c);
    const found = resources.list().filter((r) => textOf(r) === textOf(wanted));
    // Of two of one name the file counts, and comes first.
    const [first] = found.sort((a, b) => (a.file === '' ? 1 : 0) - (b.file === '' ? 1 : 0));
    if (!first) return refuse(c, 404, ADMIN_NOT_FOUND(`resource ${textOf(wanted)}`));
    if (first.revision !== '') c.header('etag', etag(first.revision));
    return c.json(resourceJson(first));
  });
  app.use(RESOURCE_PATH, guardWrites(deps));
  const limit = bodyLimit({ maxSize: MAX_BODY, onError: (c) => refuse(c, 413, ADMIN_BODY_SIZE(MAX_BODY)) });
  app.put(RESOURCE_PATH, limit, (c) =>
    orRefused(c, async () => {
      const document = jsonOf(await c.req.text());
      if (typeof document !== 'object' || document === null || Array.isArray(document)) {
        throw ADMIN_BODY('expected one resource as a JSON object');
      }
      const expected = expectedRevision((name) => c.req.header(name));
      const { resource, outcome, notes } = await resources.put(nameOf(c), document, byOf(c), expected);
      if (resource) c.header('etag', etag(resource.revision));
      return c.json<ResourceAppliedJson>({
        outcome,
        resource: resource ? resourceJson(resource) : null,
        notes,
      });
    }),
  );
  app.delete(RESOURCE_PATH, limit, (c) =>
    orRefused(c, async () => {
      const expected = expectedRevision((name) => c.req.header(name));
      const { removed, notes } = await resources.remove(nameOf(c), byOf(c), expected);
      if (!removed) return refuse(c, 404, ADMIN_NOT_FOUND(`resource ${textOf(nameOf(c))}`));
      return c.json<ResourceDeletedJson>({ removed: resourceJson(removed), notes });
    }),
  );
}

const STATUS: Readonly<Record<string, 400 | 409>> = { ISTHMUS_RESOURCE_REFUSED: 400 };

/** 400 for what is wrong in itself, 409 for what cannot be as things are. */
async function orRefused(c: Context, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof IsthmusError) || thrown.code === ADMIN_BODY.code) throw thrown;
    return refuse(c, STATUS[thrown.code] ?? 409, thrown);
  }
}

function nameOf(c: Context): ResourceName {
  const [kind = '', namespace = '', name = ''] = ['kind', 'namespace', 'name'].map((part) =>
    c.req.param(part),
  );
  return { kind, namespace, name };
}

/** Who asks; believed, as the token is one for all. */
function byOf(c: Context): string {
  const by = c.req.query('by') ?? '';
  if (by.length > 200 || /\p{C}/u.test(by))
    throw ADMIN_BODY('by: at most 200 characters that can be printed');
  return by;
}

const textOf = ({ kind, namespace, name }: ResourceName): string => `${kind} ${namespace}/${name}`;

function resourceJson(resource: ShownResource): ResourceJson {
  const { kind, namespace, name, file, document, since, by, revision, problem } = resource;
  return {
    kind,
    namespace,
    name,
    origin: file === '' ? 'api' : 'file',
    file,
    since: since === undefined ? null : rfc3339(since),
    by,
    revision,
    problem,
    resource: document,
  };
}
