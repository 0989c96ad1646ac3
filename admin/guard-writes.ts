// What every change over the API must show: the token, and JSON, which no page of another origin can send without
// being allowed to.
import type { MiddlewareHandler } from 'hono';
import type { Logger } from '../telemetry/logger.ts';
import { ADMIN_CONTENT_TYPE } from './errors.ts';
import { refuse } from './refuse.ts';
import type { WriteGuard } from './token.ts';

export function guardWrites(deps: {
  readonly mayWrite: WriteGuard;
  readonly log: Logger;
}): MiddlewareHandler {
  return async (c, next) => {
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return await next();
    const refusal = await deps.mayWrite(c.req.header('authorization'));
    if (refusal) {
      if (refusal.status === 401) c.header('www-authenticate', 'Bearer');
      deps.log.warn({ code: refusal.error.code, path: c.req.path }, 'a change was refused');
      return refuse(c, refusal.status, refusal.error);
    }
    const type = c.req.header('content-type') ?? '';
    if (!/^application\/json\s*(;|$)/i.test(type)) return refuse(c, 415, ADMIN_CONTENT_TYPE(type));
    return await next();
  };
}
