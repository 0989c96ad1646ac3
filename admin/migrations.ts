// The routes of migrations: how far each is, and what operators say to it. Everything else of them is a resource.
import type { Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import { IsthmusError } from '../lib/errors.ts';
import type { MigrationReport, MigrationVerb } from '../model/migration-state.ts';
import { MIGRATION_VERBS } from '../model/migration-state.ts';
import { clusterOf } from '../model/names.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ADMIN_BODY, ADMIN_BODY_SIZE, ADMIN_NOT_FOUND } from './errors.ts';
import { guardWrites } from './guard-writes.ts';
import { jsonOf, printable, problemsOf } from './override-body.ts';
import { rfc3339 } from './reasons.ts';
import { refuse } from './refuse.ts';
import type { WriteGuard } from './token.ts';
import type { MigrationJson } from './types-migration.ts';
import { findService } from './views.ts';

const MAX_BODY = 16 * 1024;

/** Where an operator's word is taken; POST only. */
export const MIGRATION_PATH = '/api/v1/migrations/:name/:verb';

export interface MigrationDesk {
  reports(): readonly MigrationReport[];
  /** @param service canonical. @throws ISTHMUS_MIGRATION_NOT_FOUND, ISTHMUS_MIGRATION_REFUSED, … */
  obey(
    service: string,
    wish: { readonly verb: MigrationVerb; readonly by: string; readonly reason: string },
  ): Promise<MigrationReport>;
}

export interface MigrationDeps {
  readonly migrations: MigrationDesk;
  readonly snapshot: () => FederationSnapshot;
  readonly mayWrite: WriteGuard;
  readonly log: Logger;
}

const body = z.strictObject({ by: printable(200).default(''), reason: printable(500).default('') });

export function migrationRoutes(app: Hono, deps: MigrationDeps): void {
  const { migrations } = deps;
  app.get('/api/v1/migrations', (c) => c.json({ items: migrations.reports().map(migrationJson) }));
  app.get('/debug/migrationz', (c) => c.json(migrations.reports()));
  app.get('/api/v1/migrations/:name', (c) => {
    const service = serviceOf(deps, c);
    const found = migrations.reports().find(({ spec }) => spec.service === service);
    return found ? c.json(migrationJson(found)) : refuse(c, 404, ADMIN_NOT_FOUND(`migration of ${service}`));
  });
  app.use(MIGRATION_PATH, guardWrites(deps));
  const limit = bodyLimit({ maxSize: MAX_BODY, onError: (c) => refuse(c, 413, ADMIN_BODY_SIZE(MAX_BODY)) });
  app.post(MIGRATION_PATH, limit, async (c) => {
    const verb = MIGRATION_VERBS.find((each) => each === c.req.param('verb'));
    if (!verb) return refuse(c, 404, ADMIN_NOT_FOUND(`page ${c.req.path}`));
    const text = await c.req.text();
    const parsed = body.safeParse(text.trim() === '' ? {} : jsonOf(text));
    if (!parsed.success) throw ADMIN_BODY(problemsOf(parsed.error));
    try {
      return c.json(migrationJson(await migrations.obey(serviceOf(deps, c), { verb, ...parsed.data })));
    } catch (thrown) {
      if (!(thrown instanceof IsthmusError)) throw thrown;
      return refuse(c, thrown.code === 'ISTHMUS_MIGRATION_NOT_FOUND' ? 404 : 409, thrown);
    }
  });
}

function serviceOf(deps: MigrationDeps, c: Context): string {
  const name = c.req.param('name') ?? '';
  return findService(deps.snapshot(), name)?.service ?? clusterOf(name);
}

export function migrationJson(report: MigrationReport): MigrationJson {
  const { spec, state, measured } = report;
  return {
    service: spec.service,
    from: spec.from,
    to: spec.to,
    phase: state.phase,
    step: state.step + 1,
    steps: spec.steps.map(({ percent, forMs, approval }) => ({
      percent,
      forSeconds: forMs / 1_000,
      approval,
    })),
    share: state.percent / 100,
    wantedShare: state.phase === 'completed' || state.phase === 'retired' ? 1 : wantedShare(report),
    measured: measured
      ? {
          share: measured.percent === undefined ? null : measured.percent / 100,
          fromRequests: measured.fromRequests,
          toRequests: measured.toRequests,
          fromErrors: measured.fromErrors,
          toErrors: measured.toErrors,
          seconds: measured.sinceMs / 1_000,
        }
      : null,
    since: rfc3339(state.since),
    attempt: state.attempt,
    reason: state.reason,
    by: state.by,
    waitsFor: report.waitsFor,
    gates: report.verdicts,
    decidedBy: state.verdicts,
    onFailure: spec.onFailure,
    origin: report.origin,
    revision: report.revision,
    controller: report.controller,
  };
}

const wantedShare = ({ spec, state }: MigrationReport): number =>
  state.phase === 'stepping' || state.phase === 'awaitingApproval' || state.phase === 'paused'
    ? (spec.steps[state.step]?.percent ?? 0) / 100
    : 0;
