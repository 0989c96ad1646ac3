// `POST /api/v1/diff`: what resources would change, were they applied. Changes nothing, so it wants no token; JSON
// only, which no page of another origin can send.
import type { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { IsthmusError } from '../lib/errors.ts';
import { ADMIN_BODY, ADMIN_BODY_SIZE, ADMIN_CONTENT_TYPE } from './errors.ts';
import { jsonOf } from './override-body.ts';
import { refuse } from './refuse.ts';
import type { PreviewJson } from './types.ts';

const MAX_BODY = 1024 * 1024;

export const DIFF_PATH = '/api/v1/diff';

export interface PreviewDeps {
  /** @throws IsthmusError that says what is wrong with them. */
  readonly preview: (documents: readonly unknown[]) => readonly PreviewJson[];
}

export function previewRoutes(app: Hono, { preview }: PreviewDeps): void {
  const limit = bodyLimit({ maxSize: MAX_BODY, onError: (c) => refuse(c, 413, ADMIN_BODY_SIZE(MAX_BODY)) });
  app.post(DIFF_PATH, limit, async (c) => {
    const type = c.req.header('content-type') ?? '';
    if (!/^application\/json\s*(;|$)/i.test(type)) return refuse(c, 415, ADMIN_CONTENT_TYPE(type));
    const { items } = Object(jsonOf(await c.req.text())) as { readonly items?: unknown };
    if (!Array.isArray(items)) return refuse(c, 400, ADMIN_BODY('expected {"items": [RESOURCE, …]}'));
    try {
      return c.json({ items: preview(items) });
    } catch (thrown) {
      if (thrown instanceof IsthmusError) return refuse(c, 400, thrown);
      throw thrown;
    }
  });
}
