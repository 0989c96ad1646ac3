// What the server is made of, and who tells whom: snapshots go into the catalogue (catchUp), what changed there goes
// to the open streams (connections), and what clients say beside discovery goes to the part that its gRPC service
// belongs to (services/table.ts).
import { hostname } from 'node:os';
import type { FederationSnapshot } from '../model/snapshot.ts';
import { AccessLogService } from './als/service.ts';
import { CatchUp } from './catch-up.ts';
import { Connections } from './connections.ts';
import type { Changes } from './dialect.ts';
import { faultReporter } from './faults.ts';
import { DEFAULT_LIMITS } from './flow/limits.ts';
import { Groups } from './groups.ts';
import { HealthDiscovery } from './hds/service.ts';
import { Listening } from './listening.ts';
import { LoadService } from './load/service.ts';
import { LoadStore } from './load/store.ts';
import { NamedResources } from './named/resources.ts';
import type { XdsServerOptions } from './options.ts';
import { Catalogue } from './resources/catalogue.ts';
import { HealthService } from './services/health.ts';
import { SideCalls } from './services/side-calls.ts';
import { SERVICES, addServices } from './services/table.ts';
import { StartUp } from './start-up.ts';
import { ResponseWriter } from './wire/response.ts';

/** A check every 5 s; three failures in a row count, as with the prober. */
const CHECKS = { intervalMs: 5_000, timeoutMs: 2_000, rise: 1, fall: 3, checkers: 2 };

const DEFAULTS = {
  startupTimeoutMs: 60_000,
  loadReportIntervalMs: 10_000,
  accessLogSamplePercent: 10,
  onSidecar: () => () => undefined,
};

export type ServerParts = ReturnType<typeof assemble>;

/** Nothing is listening yet; timers run until startUp.close(). */
export function assemble(options: XdsServerOptions) {
  const { log, clock, metrics } = options;
  const tools = { log, clock, metrics };
  const { startupTimeoutMs, accessLogSamplePercent, onSidecar } = { ...DEFAULTS, ...options };
  const limits = { ...DEFAULT_LIMITS, ...options.limits };

  const catalogue = new Catalogue(faultReporter(log, clock, metrics));
  const groups = new Groups(catalogue, (callers) => onCallers(callers), accessLogSamplePercent);
  const named = new NamedResources();
  const writer = new ResponseWriter(`isthmus/${hostname()}`);
  const gate = () => startUp.gate;
  const connections = new Connections({
    ...tools,
    limits,
    groups,
    named,
    writer,
    gate,
    onSidecar,
  });

  const beside = takersOfReports(options, groups, () => catchUp.newest);
  const startUp = new StartUp({
    log,
    clock,
    timeoutMs: startupTimeoutMs,
    isBehind: () => catalogue.isBehind,
    onGate(serving) {
      if (serving) beside.health.setServing(true);
      connections.pump();
    },
  });
  const onChanges = (changes: Changes) => {
    connections.touch(changes);
    catalogue.grpc.release((type, name) => connections.wants(type, name));
    if (changes.envoy.has('cds') || changes.grpc.has('cds') || changes.routed.size > 0) {
      beside.loadReports.clustersChanged();
    }
  };
  const catchUp = new CatchUp({ catalogue, log, onChanges, onIdle: () => startUp.caughtUp() });
  const onCallers = (callers: number) => {
    if (catalogue.setCallers(callers)) catchUp.nudge();
  };

  const parts = { connections, ...beside };
  const listening = new Listening({
    ...tools,
    maxConnectionAgeMs: limits.maxConnectionAgeMs,
    addServices: (server, callerOf) => addServices(server, parts, callerOf),
  });
  return { ...parts, catalogue, catchUp, startUp, groups, named, listening };
}

/** What takes the calls of all services beside discovery. */
function takersOfReports(options: XdsServerOptions, groups: Groups, world: () => FederationSnapshot) {
  const { log, clock, metrics } = options;
  const { loadReportIntervalMs: intervalMs, accessLogSamplePercent: percent } = { ...DEFAULTS, ...options };
  const load = new LoadStore({ clock, metrics, ...sidesIn(world) });
  const weight = percent > 0 ? 100 / percent : 1;
  return {
    calls: new SideCalls(log, metrics),
    load,
    loadReports: new LoadService({ store: load, groups, metrics, intervalMs }),
    accessLog: new AccessLogService({ store: load, groups, metrics, clock, weight }),
    checks: healthDiscovery(options),
    health: new HealthService(SERVICES),
  };
}

/** What of a service load is told apart by. */
function sidesIn(world: () => FederationSnapshot) {
  return {
    sourcesOf: (service: string) => [...(world().services.get(service)?.shards.keys() ?? [])],
    splitOf(service: string) {
      const policy = world().services.get(service)?.rules.policy;
      return policy?.kind === 'weighted' ? policy.split?.side : undefined;
    },
  };
}

function healthDiscovery(options: XdsServerOptions): HealthDiscovery {
  const { clock, metrics } = options;
  return new HealthDiscovery({
    ...CHECKS,
    ...options.healthChecks,
    clock,
    metrics,
    onHealth: (report) => options.onHealth?.(report),
    onApp: (report) => options.onApp?.(report),
    complete: options.completeSidecar,
    onMisdirected: (report) => options.onMisdirected?.(report),
  });
}
