// How the admin API says no: one shape for every refusal.
import type { Context } from 'hono';
import type { IsthmusError } from '../lib/errors.ts';
import type { ErrorJson } from './types.ts';

type Status = 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 500 | 503;

export function refuse(c: Context, status: Status, { code, message, hint }: IsthmusError) {
  return c.json<ErrorJson>({ error: { code, message, hint } }, status);
}
