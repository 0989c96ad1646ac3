// Joins migrations to the rest: their states to a table that is shared and on disk, their share to the rules of a
// service, the machine to the catalogue and to what data planes report, what happens to the journal and the webhook.
import { join } from 'node:path';
import type { MigrationDesk } from '../admin/migrations.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import { escapeKey } from '../aggregator/cluster/bus.ts';
import { revisionOf } from '../aggregator/table/row.ts';
import { Table } from '../aggregator/table/table.ts';
import type { TableChange } from '../aggregator/table/table.ts';
import type { PlacedMigration } from '../config/resources.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { Migrations } from '../migration/controller.ts';
import type { StateStore } from '../migration/controller.ts';
import { eventOf, textOfChange } from '../migration/events.ts';
import type { Counts, SideTotals } from '../migration/facts.ts';
import { Hook } from '../migration/hook.ts';
import { rulesDuring } from '../migration/rules.ts';
import { readState } from '../migration/state-json.ts';
import type { StoredState } from '../migration/state-json.ts';
import { experienceOf } from '../model/load.ts';
import type { LoadCounters, LoadReports } from '../model/load.ts';
import type { MigrationSpec } from '../model/migration.ts';
import { splitServiceName } from '../model/names.ts';
import { sourceOfSide } from '../model/rules.ts';
import type { ServiceRules } from '../model/rules.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

interface Deps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly aggregator: Aggregator;
}

interface Following {
  migrations(): ReadonlyMap<string, PlacedMigration>;
  retake(): void;
}

export interface OpenedMigrations {
  /** For sharing it with other replicas. */
  readonly table: Table<StoredState>;
  readonly rules: {
    during(service: string, migration: PlacedMigration, rules: ServiceRules): ServiceRules;
    originDuring(service: string, migration: PlacedMigration): string;
  };
  start(resources: Following, load: LoadReports & LoadCounters, signal: AbortSignal): RunningMigrations;
  close(): Promise<void>;
}

interface RunningMigrations {
  readonly desk: MigrationDesk;
  /** '' this replica steps. Before it is called nobody does. */
  setLeader(elsewhere: string): void;
  /** Until the signal aborts. */
  run(): Promise<void>;
}

/** A p99 of fewer requests says nothing. */
const MIN_TIMED = 100;

/** Reads the states from disk: what callers get must be what they got before, from the first snapshot on. */
export async function openMigrations(config: Config, deps: Deps): Promise<OpenedMigrations> {
  const { clock, log, metrics, aggregator } = deps;
  let retake = (): void => undefined;
  const table = await Table.open<StoredState>({
    file: config.dataDir === '' ? '' : join(config.dataDir, 'migrations.json'),
    table: 'migrations',
    clock,
    log,
    strict: true,
    decode: readState,
    onChange(change) {
      if (change.why === 'time') return;
      tell(change, aggregator, log);
      retake();
    },
  });
  const states = storeOf(table);
  return {
    table,
    rules: {
      during: (service, { spec }, rules) => rulesDuring(spec, states.get(service)?.state, rules),
      originDuring(service, { origin }) {
        const phase = states.get(service)?.state.phase ?? 'pending';
        return `${origin}, ${phase}`;
      },
    },
    start(resources, load, signal) {
      retake = () => resources.retake();
      const hook = new Hook(
        { url: config.migrations.webhook, clock, log, onLost: () => metrics.migration.hookLost.inc() },
        signal,
      );
      let elsewhere = 'nobody yet';
      const migrations = new Migrations({
        clock,
        log,
        states,
        wanted: () => resources.migrations(),
        snapshot: () => aggregator.current,
        totals: (spec) => totalsOf(spec, load),
        latency: (spec, side, windowMs) => latencyOf(spec, side, windowMs, load),
        stepsElsewhere: () => elsewhere,
        onStep(spec, before, after) {
          if (before?.phase !== after.phase) metrics.migration.transitions.inc({ phase: after.phase });
          hook.tell(eventOf(spec, before, after, states.now()));
        },
        reportsLagMs: config.xds.loadReportInterval + 1_000,
      });
      aggregator.setMoving(() => movingTo(resources.migrations(), states));
      const stop = metrics.beforeScrape(() => {
        metrics.migration.percent.reset();
        for (const service of resources.migrations().keys()) {
          metrics.migration.percent.set({ service }, states.get(service)?.state.percent ?? 0);
        }
      });
      return {
        desk: {
          reports: () => migrations.reports(),
          obey: (service, wish) => migrations.obey(service, wish),
        },
        setLeader(now) {
          if (now !== elsewhere) log.info({ steps: now === '' ? 'here' : now }, 'who steps migrations');
          elsewhere = now;
        },
        async run() {
          await migrations.run(signal);
          stop();
          await hook.settled();
        },
      };
    },
    close: () => table.close(),
  };
}

function storeOf(table: Table<StoredState>): StateStore {
  return {
    now: () => table.now(),
    get(service) {
      const row = table.get(keyOf(service));
      return row && { state: row.value.state, revision: revisionOf(row) };
    },
    services: () => table.list().map(({ value }) => value.service),
    async write(service, state, by, expected) {
      await table.write(keyOf(service), () => ({ value: state && { service, state }, by }), expected);
    },
  };
}

function keyOf(service: string): string {
  const { namespace, name } = splitServiceName(service);
  return [namespace, name].map(escapeKey).join('.');
}

/** A line of the journal on every replica; of crumbs, such as another reason to wait, none. */
function tell(
  { before, after, by, why }: TableChange<StoredState>,
  aggregator: Aggregator,
  log: Logger,
): void {
  const service = (after ?? before)?.value.service;
  if (why === 'start' || service === undefined) return;
  const text = textOfChange(before?.value.state, after?.value.state);
  if (text === '') return;
  const where = why === 'replica' ? ', on another replica' : '';
  const cause = by === '' ? `the migration's own decision${where}` : `${by}${where}`;
  aggregator.note(service, text, { kind: by === '' ? 'migration' : 'operator', detail: cause });
  log.info({ service, by: cause }, text);
}

/** By service, the source whose endpoints have, or are about to get, a share that may be taken back. */
function movingTo(
  migrations: ReadonlyMap<string, PlacedMigration>,
  states: StateStore,
): ReadonlyMap<string, string> {
  const moving = new Map<string, string>();
  for (const [service, { spec }] of migrations) {
    const phase = states.get(service)?.state.phase;
    if (phase !== 'completed' && phase !== 'retired' && phase !== 'aborted') {
      moving.set(service, sourceOfSide(spec.to));
    }
  }
  return moving;
}

/** Of its clusters: those of both sides, and what the new side alone offers, where copies go. */
function totalsOf({ service, from, to }: MigrationSpec, load: LoadCounters): SideTotals {
  const totals = load.totals(service);
  const sum = (isOf: (cluster: string, side: string) => boolean) =>
    totals
      .filter(({ cluster, side }) => isOf(cluster, side))
      .reduce(
        (all, { successes, errors, issued }) => ({
          successes: all.successes + successes,
          errors: all.errors + errors,
          issued: all.issued + issued,
        }),
        { successes: 0, errors: 0, issued: 0 },
      );
  return {
    from: sum((cluster, side) => side === from && !isPinned(cluster)),
    to: sum((cluster, side) => side === to && !isPinned(cluster)),
    mirrored: sum((cluster, side) => side === to && isPinned(cluster)),
  };
}

const isPinned = (cluster: string): boolean => cluster.includes('@');

function latencyOf(
  { service, from, to }: MigrationSpec,
  side: keyof SideTotals,
  windowMs: number,
  load: LoadReports,
): Pick<Counts, 'p99Ms' | 'p99LeastMs'> | undefined {
  const rows = load
    .rows({ service, windowMs: Math.max(1, windowMs) })
    .filter(({ cluster }) => isPinned(cluster) === (side === 'mirrored'));
  const { p99Ms, p99LeastMs, timed } = experienceOf(rows, service, side === 'from' ? from : to);
  return timed < MIN_TIMED ? undefined : { p99Ms, p99LeastMs };
}
