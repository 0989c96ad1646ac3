// The routes by which operators change something: overrides of endpoints. Writes want the token, and JSON, which
// no page of another origin can send without being allowed to.
import type { Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { z } from 'zod';
import { IsthmusError } from '../lib/errors.ts';
import type { EndpointOverride, PlacedOverride } from '../model/rules.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ADMIN_BODY, ADMIN_BODY_SIZE, ADMIN_TAKEN_BACK } from './errors.ts';
import { etag, expectedRevision } from './expected.ts';
import { guardWrites } from './guard-writes.ts';
import { jsonOf, overrideBody, problemsOf, removalBody } from './override-body.ts';
import { targetOf } from './override-target.ts';
import type { Target } from './override-target.ts';
import { rfc3339 } from './reasons.ts';
import { refuse } from './refuse.ts';
import type { WriteGuard } from './token.ts';
import type { OverrideJson, OverrideRemovedJson, OverrideSetJson } from './types.ts';

const MAX_BODY = 64 * 1024;

/** Where overrides may be written; PUT and DELETE only. */
export const OVERRIDE_PATH = '/api/v1/services/:name/endpoints/:address/override';

interface Outcome<T> {
  readonly placed: T;
  /** What the operator should know of it. */
  readonly notes: readonly string[];
}

/** The book of overrides, as the aggregator keeps it. */
export interface OverrideDesk {
  now(): number;
  list(): readonly PlacedOverride[];
  set(
    service: string,
    key: string,
    wish: Omit<EndpointOverride, 'until' | 'since'> & { readonly forMs: number },
    expected?: string | null,
  ): Promise<Outcome<PlacedOverride | undefined>>;
  remove(
    service: string,
    key: string,
    by: string,
    expected?: string | null,
  ): Promise<Outcome<PlacedOverride | undefined>>;
}

export interface OverrideDeps {
  readonly overrides: OverrideDesk;
  readonly mayWrite: WriteGuard;
  readonly snapshot: () => FederationSnapshot;
  readonly log: Logger;
}

export function overrideRoutes(app: Hono, deps: OverrideDeps): void {
  const { overrides } = deps;
  app.get('/api/v1/overrides', (c) =>
    c.json({ items: overrides.list().map((placed) => overrideJson(placed, overrides.now())) }),
  );
  app.use(OVERRIDE_PATH, guardWrites(deps));
  const limit = bodyLimit({ maxSize: MAX_BODY, onError: (c) => refuse(c, 413, ADMIN_BODY_SIZE(MAX_BODY)) });
  app.put(OVERRIDE_PATH, limit, async (c) => {
    const [target, body] = await readBoth(c, deps, overrideBody);
    const { for: forMs, ...wish } = body;
    return orConflict(c, async () => {
      const expected = expectedRevision((name) => c.req.header(name));
      const set = await overrides.set(target.service, target.key, { ...wish, forMs }, expected);
      // Another replica may have taken it back in the same instant.
      if (!set.placed) return refuse(c, 409, ADMIN_TAKEN_BACK());
      c.header('etag', etag(set.placed.revision));
      const json = overrideJson(set.placed, overrides.now());
      return c.json<OverrideSetJson>({ ...json, notes: [...notesOf(target), ...set.notes] });
    });
  });
  app.delete(OVERRIDE_PATH, limit, async (c) => {
    const [{ service, key }, { by }] = await readBoth(c, deps, removalBody);
    return orConflict(c, async () => {
      const expected = expectedRevision((name) => c.req.header(name));
      const { placed, notes } = await overrides.remove(service, key, by, expected);
      const removed = placed ? overrideJson(placed, overrides.now()) : null;
      return c.json<OverrideRemovedJson>({ service, address: key, removed, notes });
    });
  });
}

/** What cannot be done as things are: somebody else was faster, or there is no room. */
async function orConflict(c: Context, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof IsthmusError && thrown.code !== ADMIN_BODY.code) return refuse(c, 409, thrown);
    throw thrown;
  }
}

/** @throws ISTHMUS_ADMIN_BODY, with everything that is wrong. */
async function readBoth<S extends z.ZodType>(
  c: Context,
  deps: OverrideDeps,
  schema: S,
): Promise<[Target, z.output<S>]> {
  const target = targetOf(deps.snapshot(), c.req.param('name') ?? '', c.req.param('address') ?? '');
  const text = await c.req.text();
  const parsed = schema.safeParse(text.trim() === '' ? {} : jsonOf(text));
  const problems = [
    ...(typeof target === 'string' ? [target] : []),
    ...(parsed.success ? [] : [problemsOf(parsed.error)]),
  ];
  if (typeof target === 'string' || !parsed.success) throw ADMIN_BODY(problems.join('; '));
  return [target, parsed.data];
}

function notesOf({ service, key, isListed }: Target): readonly string[] {
  return isListed ? [] : [`matches nothing now: no source lists ${key} for ${service}`];
}

function overrideJson(
  { service, key, since, revision, override }: PlacedOverride,
  now: number,
): OverrideJson {
  return {
    service,
    address: key,
    drain: override.drain ?? false,
    weight: override.weight ?? null,
    labels: override.labels ?? {},
    since: rfc3339(since),
    until: rfc3339(override.until),
    remainingSeconds: Math.max(0, Math.round((override.until - now) / 1_000)),
    reason: override.reason,
    by: override.by,
    revision,
  };
}
