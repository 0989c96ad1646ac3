// `/api/v1/services/NAME/retirement?after=7d`: may the old side of a migration go, and who is still there? POST lets it
// go, when nobody is.
import type { Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import { parseDuration } from '../lib/duration.ts';
import { IsthmusError } from '../lib/errors.ts';
import { clusterOf } from '../model/names.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import { DEFAULT_AFTER_MS } from '../model/usage.ts';
import type { Retirement, Use } from '../model/usage.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ADMIN_AFTER, ADMIN_BODY, ADMIN_BODY_SIZE, ADMIN_NOT_FOUND, RETIRE_REFUSED } from './errors.ts';
import { guardWrites } from './guard-writes.ts';
import { jsonOf, printable, problemsOf } from './override-body.ts';
import { rfc3339 } from './reasons.ts';
import { refuse } from './refuse.ts';
import type { WriteGuard } from './token.ts';
import { findService } from './views.ts';

const MAX_BODY = 16 * 1024;
const MAX_AFTER_MS = 400 * 24 * 3_600_000;

export const RETIREMENT_PATH = '/api/v1/services/:name/retirement';

export interface RetirementDesk {
  /** @param service canonical. undefined: it has no migration. */
  of(service: string, afterMs: number): Retirement | undefined;
  /** Asks nobody whether it is safe. */
  retire(service: string, by: string, reason: string): Promise<void>;
}

export interface RetirementDeps {
  readonly retirement: RetirementDesk;
  readonly snapshot: () => FederationSnapshot;
  readonly mayWrite: WriteGuard;
  readonly log: Logger;
}

export interface UseJson {
  readonly node: string;
  /** '' when it does not say. */
  readonly service: string;
  readonly last: string;
}

export interface RetirementJson {
  readonly service: string;
  readonly from: string;
  readonly to: string;
  readonly phase: Retirement['phase'];
  readonly safe: boolean;
  /** Why not; '' when it is. */
  readonly why: string;
  readonly afterSeconds: number;
  /** Who called within that time, the last one first. */
  readonly callers: readonly UseJson[];
  /** null: nobody ever, as far as is known. */
  readonly lastUse: UseJson | null;
  /** Watched time without a request. */
  readonly quietSeconds: number;
  readonly safeSince: string | null;
  readonly unseen: readonly string[];
}

const body = z.strictObject({
  after: z.string().default('7d'),
  by: printable(200).default(''),
  reason: printable(500).default(''),
});

export function retirementRoutes(app: Hono, deps: RetirementDeps): void {
  const { retirement, log } = deps;
  app.get(RETIREMENT_PATH, (c) => {
    const afterMs = afterOf(c.req.query('after'));
    if (afterMs === undefined) return refuse(c, 400, ADMIN_AFTER());
    const told = retirement.of(serviceOf(deps, c), afterMs);
    return told ? c.json<RetirementJson>(retirementJson(told)) : refuse(c, 404, noMigration(deps, c));
  });
  app.use(RETIREMENT_PATH, guardWrites(deps));
  const limit = bodyLimit({ maxSize: MAX_BODY, onError: (c) => refuse(c, 413, ADMIN_BODY_SIZE(MAX_BODY)) });
  app.post(RETIREMENT_PATH, limit, async (c) => {
    const parsed = body.safeParse(jsonOf(await c.req.text()));
    if (!parsed.success) throw ADMIN_BODY(problemsOf(parsed.error));
    const { after, by, reason } = parsed.data;
    const afterMs = afterOf(after);
    if (afterMs === undefined) return refuse(c, 400, ADMIN_AFTER());
    const service = serviceOf(deps, c);
    const told = retirement.of(service, afterMs);
    if (!told) return refuse(c, 404, noMigration(deps, c));
    if (!told.safe) return refuse(c, 409, RETIRE_REFUSED(service, told.why));
    try {
      if (told.phase !== 'retired') await retirement.retire(service, by, reason);
    } catch (thrown) {
      if (!(thrown instanceof IsthmusError)) throw thrown;
      return refuse(c, 409, thrown);
    }
    log.info({ service, from: told.from, by }, 'the old side is retired');
    return c.json<RetirementJson>(retirementJson(retirement.of(service, afterMs) ?? told));
  });
}

function serviceOf({ snapshot }: RetirementDeps, c: Context): string {
  const name = c.req.param('name') ?? '';
  return findService(snapshot(), name)?.service ?? clusterOf(name);
}

const noMigration = (deps: RetirementDeps, c: Context) =>
  ADMIN_NOT_FOUND(`migration of ${serviceOf(deps, c)}`);

function afterOf(text: string | undefined): number | undefined {
  const ms = text === undefined ? DEFAULT_AFTER_MS : parseDuration(text);
  return ms !== undefined && ms > 0 && ms <= MAX_AFTER_MS ? ms : undefined;
}

const useJson = ({ node, of, last }: Use): UseJson => ({ node, service: of, last: rfc3339(last) });

function retirementJson(told: Retirement): RetirementJson {
  const { service, from, to, phase, safe, why, unseen, lastUse, safeSince } = told;
  return {
    service,
    from,
    to,
    phase,
    safe,
    why,
    afterSeconds: told.afterMs / 1_000,
    callers: told.callers.map(useJson),
    lastUse: lastUse ? useJson(lastUse) : null,
    quietSeconds: Math.floor(told.quietMs / 1_000),
    safeSince: safeSince === undefined ? null : rfc3339(safeSince),
    unseen,
  };
}
