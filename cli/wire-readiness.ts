// What `migrate plan` is made from: the catalogue, what data planes report, and pings of both sides that are sent for
// the question, within the reach that pings have anyway. Changes nothing.
import type { MigrationDesk } from '../admin/migrations.ts';
import type { LeftOutBook } from '../adapters/left-out.ts';
import { ping } from '../adapters/ping.ts';
import { howToPing, pathOf } from '../adapters/probe/prober.ts';
import { isOnLoopback, mayPing } from '../adapters/probe/reach.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import type { Config } from '../config/schema.ts';
import { childController } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { splitServiceName } from '../model/names.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { LoadReports } from '../model/load.ts';
import { DEFAULT_GATES, readinessOf } from '../model/readiness/plan.ts';
import { sideOf } from '../model/readiness/side.ts';
import type { SideEndpoint } from '../model/readiness/side.ts';
import type { PingSaid, Readiness, ReadinessFacts } from '../model/readiness/types.ts';
import { sourceEntry } from './wire-keeping.ts';

export interface ReadinessDeps {
  readonly config: Pick<Config, 'probe' | 'sources'>;
  readonly aggregator: Pick<Aggregator, 'current'>;
  readonly leftOut: LeftOutBook;
  readonly policyOrigin: (service: string) => string;
  readonly proxies: () => readonly ProxyStatus[];
  readonly load: LoadReports;
  readonly migrations: Pick<MigrationDesk, 'reports'>;
  readonly clock: Clock;
}

export type ReadinessAsk = Pick<ReadinessFacts, 'service' | 'from' | 'to'>;

/** As far back as load reports are kept. */
const WINDOW_MS = 600_000;
/** Of each side; the answer must come while somebody waits for it. */
const MAX_PINGS = 100;
const AT_ONCE = 32;
const ALL_PINGS_MS = 3_000;

export function wireReadiness(
  deps: ReadinessDeps,
): (ask: ReadinessAsk, signal: AbortSignal) => Promise<Readiness> {
  return async (ask, signal) => {
    const facts = factsOf(ask, deps);
    // The new one decides: it is asked first.
    const sides = [ask.to, ask.from].map((side) => sideOf(side, facts).endpoints);
    const pings = await pingAll(sides, ask.service, deps, signal);
    // As things are now, not as they were before the pings.
    return readinessOf({ ...factsOf(ask, deps), pings });
  };
}

function factsOf({ service, from, to }: ReadinessAsk, deps: ReadinessDeps): ReadinessFacts {
  const { services, sources } = deps.aggregator.current;
  const named = [...services.values()].filter(({ shards }) =>
    [...shards.values()].some(({ group }) => group.endpoints.length > 0),
  );
  const rows = deps.load.rows({ windowMs: WINDOW_MS, byNode: true });
  return {
    service,
    from,
    to,
    slice: services.get(service),
    sources,
    leftOut: deps.leftOut.of(service),
    policyOrigin: deps.policyOrigin(service),
    pings: new Map(),
    proxies: deps.proxies(),
    reporters: new Set(deps.load.reporters()),
    load: rows.filter((row) => row.service === service || row.service === 'inbound'),
    windowMs: WINDOW_MS,
    services: named.map((slice) => slice.service).sort(),
    ...migrationOf(service, deps),
  };
}

/** What it asks for, and whether it is under way. */
function migrationOf(
  service: string,
  { migrations }: ReadinessDeps,
): Pick<ReadinessFacts, 'gates' | 'running' | 'hasMigration'> {
  const report = migrations.reports().find(({ spec }) => spec.service === service);
  if (!report) return { gates: DEFAULT_GATES, running: undefined, hasMigration: false };
  const { spec, state } = report;
  const { readyCapacity, successRate, identity } = spec.gates;
  const name = splitServiceName(service).name;
  const isRunning = !['completed', 'retired', 'aborted', 'rolledBack'].includes(state.phase);
  return {
    hasMigration: true,
    gates: { readyCapacity, successRate, identity, steps: spec.steps.map(({ percent }) => percent) },
    running: isRunning
      ? { name, from: spec.from, to: spec.to, state: `${state.phase}, ${state.percent} %` }
      : undefined,
  };
}

async function pingAll(
  sides: readonly (readonly SideEndpoint[])[],
  service: string,
  deps: ReadinessDeps,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, PingSaid>> {
  const said = new Map<string, PingSaid>();
  const byKey = (of: readonly SideEndpoint[]) => new Map(of.map((each) => [each.key, each]));
  const waiting = byKey(sides.flat());
  const over = childController(signal);
  const cancel = deps.clock.after(ALL_PINGS_MS, () => over.controller.abort(new Error('time is up')));
  const queue = [...byKey(sides.flatMap((side) => side.slice(0, MAX_PINGS))).values()];
  const work = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      said.set(next.key, await pingOne(next, service, deps, over.controller.signal));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    cancel();
    over.release();
  }
  for (const key of waiting.keys()) if (!said.has(key)) said.set(key, { notAsked: 'there are too many' });
  return said;
}

async function pingOne(
  { endpoint, protocol }: SideEndpoint,
  service: string,
  { config: { probe, sources }, aggregator, clock }: ReadinessDeps,
  signal: AbortSignal,
): Promise<PingSaid> {
  const how = howToPing(protocol);
  const entryOf = sourceEntry(sources);
  const entries = endpoint.sources.flatMap((source) => entryOf(source) ?? []);
  const isLocal = entries.length > 0 && entries.every(isOnLoopback);
  if (!probe.enabled) return { notAsked: 'probe.enabled is false' };
  if (!how) return { notAsked: `no ping makes sense over ${protocol}` };
  if (!mayPing(endpoint, { networks: probe.networks, isLocal })) {
    return { notAsked: 'the control plane is not in their network, or the address is its own machine' };
  }
  const aliases = [...(aggregator.current.services.get(service)?.shards.values() ?? [])].flatMap(
    ({ group }) => group.aliases,
  );
  const { address, port } = endpoint;
  const target = { address, port, how, path: pathOf(endpoint, probe.path), service, aliases };
  return (
    (await ping(target, Math.min(probe.timeout, ALL_PINGS_MS), clock, signal)) ?? {
      notAsked: 'no time was left',
    }
  );
}
