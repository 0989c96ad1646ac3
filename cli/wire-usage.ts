// Who still uses the old side of a migration: what data planes report is looked through every few seconds, and the last
// request of each is kept. `migrate retire` is answered from it; nothing here moves traffic by itself.
import { join } from 'node:path';
import { RETIRE_REFUSED } from '../admin/errors.ts';
import type { MigrationDesk } from '../admin/migrations.ts';
import type { RetirementDesk } from '../admin/retirement.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import { UsageBook } from '../aggregator/usage/book.ts';
import type { Seen } from '../aggregator/usage/book.ts';
import type { Config } from '../config/schema.ts';
import { sleep } from '../lib/clock.ts';
import type { Clock } from '../lib/clock.ts';
import { describeError } from '../lib/errors.ts';
import type { LoadReports } from '../model/load.ts';
import type { MigrationReport } from '../model/migration-state.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import { sourceOfSide } from '../model/rules.ts';
import { DEFAULT_AFTER_MS, retirementOf } from '../model/usage.ts';
import type { Retirement } from '../model/usage.ts';
import type { Logger } from '../telemetry/logger.ts';

interface UsageDeps {
  readonly aggregator: Pick<Aggregator, 'current'>;
  readonly load: LoadReports;
  readonly proxies: () => readonly ProxyStatus[];
  readonly migrations: MigrationDesk;
  readonly clock: Clock;
  readonly log: Logger;
}

const EVERY_MS = 5_000;
/** Longer than EVERY_MS: no report falls between two looks. */
const WINDOW_MS = 10_000;

export interface Usage {
  /** For sharing it with other replicas. */
  readonly table: UsageBook['table'];
  /** Says who is still there. */
  readonly retirement: RetirementDesk;
  /** The same desk, which retires nothing without a proof. */
  readonly migrations: MigrationDesk;
  /** Asked of each word of a source; a retirement elsewhere is known here within seconds. */
  isRetired(source: string, service: string): boolean;
  /** Until the signal aborted. */
  run(): Promise<void>;
  close(): Promise<void>;
}

/** Reads what is known from disk. */
export async function openUsage(
  { dataDir }: Pick<Config, 'dataDir'>,
  deps: UsageDeps,
  signal: AbortSignal,
): Promise<Usage> {
  const { clock, log } = deps;
  const book = await UsageBook.open({
    file: dataDir === '' ? '' : join(dataDir, 'usage.json'),
    clock,
    log,
  });
  let retired = retiredBy(deps.migrations);
  const migrations: MigrationDesk = {
    reports: () => deps.migrations.reports(),
    async obey(service, wish) {
      const report = await deps.migrations.obey(service, wish);
      // The old instances may be switched off the moment after.
      retired = retiredBy(deps.migrations);
      return report;
    },
  };
  const retirement = retirementDesk(book, { ...deps, migrations });
  return {
    table: book.table,
    retirement,
    migrations: guarded(migrations, retirement),
    isRetired: (source, service) => retired.get(service) === source,
    run: () => watchUsage(book, deps, signal, () => (retired = retiredBy(deps.migrations))),
    close: () => book.close(),
  };
}

/** The old side by service. Inside one source it is not told from the side that serves: nothing of it is meant. */
function retiredBy(migrations: MigrationDesk): ReadonlyMap<string, string> {
  const over = migrations
    .reports()
    .filter(({ spec, state }) => state.phase === 'retired' && sourceOfSide(spec.to) !== spec.from);
  return new Map(over.map(({ spec }) => [spec.service, spec.from]));
}

/** Until `signal` aborts. */
async function watchUsage(
  book: UsageBook,
  deps: UsageDeps,
  signal: AbortSignal,
  onLook: () => void,
): Promise<void> {
  const { clock, log, migrations } = deps;
  let known = new Set<string>();
  while (!signal.aborted) {
    try {
      const reports = migrations.reports();
      look(book, reports, deps);
      onLook();
      const wanted = new Set(reports.map(({ spec }) => spec.service));
      // Only what this process has seen go: another one may know of migrations that have not come here yet.
      const gone = [...known].filter((service) => !wanted.has(service));
      if (gone.length > 0) await book.forget(gone);
      known = wanted;
      await book.flush();
    } catch (thrown) {
      log.warn({ cause: describeError(thrown) }, 'who uses which side is not kept');
    }
    await sleep(EVERY_MS, signal, clock).catch(() => undefined);
  }
  await book.flush();
}

function look(book: UsageBook, reports: readonly MigrationReport[], deps: UsageDeps): void {
  if (reports.length === 0) return;
  book.watch();
  const from = new Map(reports.map(({ spec }) => [spec.service, spec.from]));
  const nodes = new Map(deps.proxies().map((proxy) => [proxy.node, proxy.service]));
  const seen: Seen[] = [];
  for (const row of deps.load.rows({ windowMs: WINDOW_MS, byNode: true })) {
    const side = from.get(row.service);
    // What other replicas heard, they keep themselves.
    if (side === undefined || row.node.startsWith('@') || row.issued + row.inProgress === 0) continue;
    if (row.side !== side && row.side !== '') continue;
    const last = book.now() - (deps.clock.now() - row.lastReport);
    const use = { node: row.node, of: nodes.get(row.node) ?? '', last };
    seen.push({ service: row.service, side: row.side, use });
  }
  book.saw(seen);
}

function retirementDesk(book: UsageBook, deps: UsageDeps): RetirementDesk {
  const of = (service: string, afterMs: number): Retirement | undefined => {
    const report = deps.migrations.reports().find(({ spec }) => spec.service === service);
    if (!report) return undefined;
    // What was reported a moment ago counts already.
    look(book, [report], deps);
    const { spec, state } = report;
    return retirementOf({
      ...spec,
      phase: state.phase,
      since: state.since,
      uses: [...book.of(service, spec.from), ...book.of(service, '')],
      watched: book.watched(),
      now: book.now(),
      afterMs,
      unseen: unseenOf(service, deps),
    });
  };
  return {
    of,
    async retire(service, by, reason) {
      await deps.migrations.obey(service, { verb: 'retire', by, reason });
    },
  };
}

/** Whoever asks for it without a proof gets it only when there is one. */
function guarded(migrations: MigrationDesk, desk: RetirementDesk): MigrationDesk {
  return {
    reports: () => migrations.reports(),
    async obey(service, wish) {
      const told = wish.verb === 'retire' ? desk.of(service, DEFAULT_AFTER_MS) : undefined;
      if (told && !told.safe) throw RETIRE_REFUSED(service, told.why);
      return migrations.obey(service, wish);
    },
  };
}

function unseenOf(service: string, { aggregator, load, proxies }: UsageDeps): readonly string[] {
  const reporters = new Set(load.reporters());
  const silent = proxies().filter((proxy) => !reporters.has(proxy.node));
  const slice = aggregator.current.services.get(service);
  const ports = [...(slice?.shards.values() ?? [])].flatMap(({ group }) => group.ports);
  const bare = [...new Set(ports.flatMap(({ protocol }) => (isBytes(protocol) ? [protocol] : [])))];
  return [
    ...silent.map(
      ({ node, kind }) => `${node} (${kind}) does not report load: whether it calls cannot be seen`,
    ),
    ...bare.map((protocol) => `connections over ${protocol} are not reported, only requests are`),
    'callers without a data plane leave no trace',
  ];
}

const isBytes = (protocol: string): boolean => ['tcp', 'udp', 'tls', 'sctp'].includes(protocol.toLowerCase());
