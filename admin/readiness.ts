// `/api/v1/services/NAME/readiness?from=SOURCE&to=SOURCE`: may the service move? Reads only.
import type { Context, Hono } from 'hono';
import { nearest } from '../config/suggest.ts';
import { serviceName } from '../model/names.ts';
import type { Caller, Readiness, SideSummary } from '../model/readiness/types.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import { ADMIN_NOT_FOUND, ADMIN_SIDES } from './errors.ts';
import type { MigrationDesk } from './migrations.ts';
import { rfc3339 } from './reasons.ts';
import { refuse } from './refuse.ts';
import { findService } from './views.ts';

export interface SideJson extends Omit<SideSummary, 'staleSince'> {
  readonly staleSince: string | null;
}

/** `/api/v1/services/NAME/readiness`: what `isthmus migrate plan` shows. The fields are in model/readiness/types.ts. */
export interface ReadinessJson extends Omit<Readiness, 'sides' | 'callers'> {
  readonly sides: { readonly from: SideJson; readonly to: SideJson };
  readonly callers: readonly (Omit<Caller, 'lastReport'> & { readonly lastReport: string })[];
}

export interface ReadinessDeps {
  readonly migrations: MigrationDesk;
  readonly snapshot: () => FederationSnapshot;
  /** Pings both sides; ends within a few seconds. undefined: nobody can tell here. */
  readonly readiness?: (
    ask: { readonly service: string; readonly from: string; readonly to: string },
    signal: AbortSignal,
  ) => Promise<Readiness>;
}

export function readinessRoutes(app: Hono, { snapshot, readiness, migrations }: ReadinessDeps): void {
  if (!readiness) return;
  app.get('/api/v1/services/:name/readiness', async (c) => {
    const { sources } = snapshot();
    const service = named(c, snapshot());
    const known = migrations.reports().find(({ spec }) => spec.service === service)?.spec;
    const { from = known?.from ?? '', to = known?.to ?? '' } = c.req.query();
    if (from === '' || to === '' || from === to) return refuse(c, 400, ADMIN_SIDES());
    for (const side of [from, to]) {
      if (!sources.has(side)) return refuse(c, 404, ADMIN_NOT_FOUND(unknown(side, [...sources.keys()])));
    }
    const told = await readiness({ service, from, to }, c.req.raw.signal);
    return c.json<ReadinessJson>(readinessJson(told));
  });
}

/** A service that nobody knows is a finding, not an error. */
function named(c: Context, snapshot: FederationSnapshot): string {
  const name = c.req.param('name') ?? '';
  const found = findService(snapshot, name)?.service;
  return found ?? (name.includes('.') ? name.toLowerCase() : serviceName(name));
}

function unknown(source: string, known: readonly string[]): string {
  const guess = nearest(source, known);
  const hint = guess === undefined ? `known: ${known.join(', ')}` : `did you mean ${guess}?`;
  return `source ${source}; ${hint}`;
}

export function readinessJson(told: Readiness): ReadinessJson {
  const { sides, callers } = told;
  return {
    ...told,
    sides: { from: sideJson(sides.from), to: sideJson(sides.to) },
    callers: callers.map((caller) => ({ ...caller, lastReport: rfc3339(caller.lastReport) })),
  };
}

const sideJson = ({ staleSince, ...side }: SideSummary): SideJson => ({
  ...side,
  staleSince: staleSince === undefined ? null : rfc3339(staleSince),
});
