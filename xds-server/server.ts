// The xDS server on gRPC: binds the stream logic to @grpc/grpc-js. Messages pass through the library as
// bytes (no serialiser of its own), so a resource is encoded once whatever the number of clients.
import { hostname } from 'node:os';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { parseListenAddress } from '../config/addresses.ts';
import type { XdsTls } from '../config/xds.ts';
import type { Clock } from '../lib/clock.ts';
import type { LoadCounters, LoadExchange, LoadReports } from '../model/load.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { ServiceRules } from '../model/rules.ts';
import type { RuntimeLayer } from '../model/runtime.ts';
import type { AppReport, Registration, SidecarDoor } from '../model/sidecars.ts';
import { EMPTY_SNAPSHOT } from '../model/snapshot.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import type { Json } from '../proto/json.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { AccessLogService } from './als/service.ts';
import { CatchUp } from './catch-up.ts';
import { LISTEN_FAILED } from './listen-failed.ts';
import { Catalogue } from './resources/catalogue.ts';
import { Connections, STOPPING } from './connections.ts';
import { clientStatus } from './csds/service.ts';
import { configDump, endpointsDump } from './dump.ts';
import { faultReporter } from './faults.ts';
import { DEFAULT_LIMITS } from './flow/limits.ts';
import type { FlowLimits } from './flow/limits.ts';
import { Groups } from './groups.ts';
import type { ScopeRules } from './groups.ts';
import type { HealthTarget } from './hds/assign.ts';
import type { CheckSettings } from './hds/messages.ts';
import { HealthDiscovery } from './hds/service.ts';
import type { HealthReport, MisdirectionReport } from './hds/service.ts';
import { LoadService } from './load/service.ts';
import { LoadStore } from './load/store.ts';
import { NamedResources, previewLayers } from './named/resources.ts';
import type { PreviewedLayer } from './named/resources.ts';
import { preview, summed } from './preview.ts';
import type { PreviewedChange } from './preview.ts';
import { plaintextCaller } from './security/caller.ts';
import type { CallerOf } from './security/caller.ts';
import { Peers, listenTls } from './security/listener.ts';
import type { TlsListener } from './security/listener.ts';
import { addDiscovery } from './services/discovery.ts';
import { HEALTH_SERVICE, HealthService } from './services/health.ts';
import { DISCOVERY_SERVICES } from './services/paths.ts';
import { reflection } from './services/reflection.ts';
import { SideCalls, addService } from './services/side-calls.ts';
import { ResponseWriter } from './wire/response.ts';

export interface XdsServerOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /**
   * How long streams wait for setReady(true) before they get what there is (then only additions, until it
   * comes). Default 60,000 ms.
   */
  readonly startupTimeoutMs?: number;
  /** What clients may cost. */
  readonly limits?: Partial<FlowLimits>;
  /** How often data planes report their load. Default 10,000 ms. */
  readonly loadReportIntervalMs?: number;
  /** Percent of their outbound requests that Envoys tell of one by one. Default 10; 0: none. */
  readonly accessLogSamplePercent?: number;
  /** How data planes check endpoints for us; see setHealthChecks(). */
  readonly healthChecks?: Partial<CheckSettings> & { readonly checkers?: number };
  /** What data planes found of those endpoints: once per interval for each endpoint and checker. */
  readonly onHealth?: (report: HealthReport) => void;
  /** What sidecars found of the apps beside them: at every report, changed or not. */
  readonly onApp?: (report: AppReport) => void;
  /** What a sidecar is taken to say of the app beside it; see sidecarsChanged(). Default: what it says. */
  readonly completeSidecar?: (said: Registration) => Registration;
  /** Told when somebody answered a data plane in another name than it asked for. */
  readonly onMisdirected?: (report: MisdirectionReport) => void;
  /** Told of data planes that stand beside a service. Default: nobody is. */
  readonly onSidecar?: SidecarDoor;
}

export interface XdsServer {
  /** Takes the newest state of the world. A small change is pushed before this returns, a large one in turns. */
  update(snapshot: FederationSnapshot): void;
  /** Resolves when all that update() was given is taken in. */
  settled(): Promise<void>;
  /**
   * True once every required source has answered: from then on removals are believed. Counts when what update()
   * was given before is taken in.
   */
  setReady(ready: boolean): void;
  /** Of what nodes are told that do not say themselves what they call. Default: of everything. */
  setScopes(rules: ScopeRules): void;
  /** Runtime layers, by the name that data planes ask for, in place of those before. */
  setLayers(layers: ReadonlyMap<string, RuntimeLayer>): void;
  /** @param address HOST:PORT; port 0 picks a free one. Rejects with ISTHMUS_LISTEN_FAILED. */
  listen(address: string): Promise<{ readonly port: number }>;
  /**
   * The same with TLS: who connects must show a certificate, which decides what node it may be.
   * @throws ISTHMUS_LISTEN_FAILED, ISTHMUS_XDS_TLS_FILES, ISTHMUS_XDS_IDENTITIES
   */
  listenTls(tls: XdsTls & { readonly pollMs?: number }): Promise<{ readonly port: number }>;
  proxies(): readonly ProxyStatus[];
  /** What a node sees (any node: what all see), in Envoy's JSON. undefined when no such node is connected. */
  configDump(node?: string): Json | undefined;
  /** What these rules, by service, these scopes and these layers would change. Throws when they make no sense. */
  preview(
    rules: ReadonlyMap<string, ServiceRules>,
    scopes?: ScopeRules,
    layers?: ReadonlyMap<string, RuntimeLayer>,
  ): readonly (PreviewedChange | PreviewedLayer)[];
  /** The assignments of that alone, as an array. */
  endpointsDump(node?: string): Json | undefined;
  /** Endpoints that connected data planes are to check (HDS), in place of those before. */
  setHealthChecks(targets: readonly HealthTarget[]): void;
  /** What sidecars are taken to say is another than before. */
  sidecarsChanged(): void;
  /** What data planes report of their requests. */
  readonly load: LoadReports & LoadCounters;
  /** Exchanges it with other replicas, from the first call on. */
  shareLoad(): LoadExchange;
  /** Ends streams with UNAVAILABLE, so that clients come back elsewhere or later. */
  close(options: { readonly drainMs: number }): Promise<void>;
}

/** Delta's first message lists every resource a client holds; gRPC's default of 4 MiB refuses big ones. */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024;

/** A check every 5 s; three failures in a row count, as with the prober. */
const CHECKS = { intervalMs: 5_000, timeoutMs: 2_000, rise: 1, fall: 3, checkers: 2 };

export function createXdsServer(options: XdsServerOptions): XdsServer {
  const { log, clock, metrics } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const catalogue = new Catalogue(faultReporter(log, clock, metrics));
  const samplePercent = options.accessLogSamplePercent ?? 10;
  const onCallers = (callers: number) => {
    if (catalogue.setCallers(callers)) catchUp.nudge();
  };
  const groups = new Groups(catalogue, onCallers, samplePercent);
  let world: FederationSnapshot = EMPTY_SNAPSHOT;
  const calls = new SideCalls(log, metrics);
  const load = new LoadStore({
    clock,
    metrics,
    sourcesOf: (service) => [...(world.services.get(service)?.shards.keys() ?? [])],
    splitOf: (service) => splitSideOf(world, service),
  });
  const loadService = new LoadService({
    store: load,
    groups,
    metrics,
    intervalMs: options.loadReportIntervalMs ?? 10_000,
  });
  const startupTimeoutMs = options.startupTimeoutMs ?? 60_000;
  const startedAt = clock.monotonic();
  let ready = false;
  const named = new NamedResources();
  const connections = new Connections({
    named,
    log,
    clock,
    metrics,
    groups,
    limits,
    onSidecar: options.onSidecar ?? (() => () => undefined),
    writer: new ResponseWriter(`isthmus/${hostname()}`),
    gate() {
      if (ready) return 'open';
      return clock.monotonic() - startedAt < startupTimeoutMs ? 'waiting' : 'only-add';
    },
  });
  const cancelStartup = clock.after(startupTimeoutMs, () => {
    if (!ready)
      log.warn('not every required source answered in time; serving what is known, removing nothing');
    health.setServing(true);
    connections.pump();
  });
  const checks = new HealthDiscovery({
    ...CHECKS,
    ...options.healthChecks,
    clock,
    metrics,
    onHealth: (report) => options.onHealth?.(report),
    onApp: (report) => options.onApp?.(report),
    complete: options.completeSidecar,
    onMisdirected: (report) => options.onMisdirected?.(report),
  });
  const weight = samplePercent > 0 ? 100 / samplePercent : 1;
  const accessLog = new AccessLogService({ store: load, groups, metrics, clock, weight });
  const beside = [loadService, accessLog, clientStatus(connections), checks];
  const others = [...DISCOVERY_SERVICES, ...beside].map(({ service }) => service);
  const reflections = reflection([...others, HEALTH_SERVICE]);
  const health = new HealthService([...others, ...reflections.map(({ service }) => service)]);
  /** The same services behind each listener; what differs is how it is known who calls. */
  const serverFor = (callerOf: CallerOf) => {
    const server = grpcServer(limits.maxConnectionAgeMs);
    addDiscovery(server, connections, callerOf);
    for (const service of [...beside, health, ...reflections]) addService(server, calls, service, callerOf);
    return server;
  };
  const plaintext = serverFor(plaintextCaller);
  const secured: { readonly server: Server; readonly listener: TlsListener }[] = [];

  let isReady = false;
  const applyReady = () => {
    // Who is ready stays so while it catches up.
    const next = isReady && (ready || !catalogue.isBehind);
    if (ready === next) return;
    ready = next;
    if (ready) cancelStartup();
    if (ready) health.setServing(true);
    connections.pump();
  };
  const catchUp = new CatchUp({
    catalogue,
    log,
    onChanges(changes) {
      connections.touch(changes);
      catalogue.grpc.release((type, name) => connections.wants(type, name));
      loadService.clustersChanged();
    },
    onIdle: applyReady,
  });

  return {
    update(snapshot) {
      world = snapshot;
      catchUp.update(snapshot);
    },
    settled: () => catchUp.settled(),
    setReady(value) {
      isReady = value;
      applyReady();
    },
    setScopes(rules) {
      groups.scopeRules = rules;
      connections.rescope();
    },
    setLayers: (layers) => connections.touchNamed('rtds', named.setLayers(layers)),
    listen: (address) => listen(plaintext, address),
    async listenTls(tls) {
      const peers = new Peers();
      const server = serverFor(peers.callerOf);
      const listener = await listenTls(server, peers, { log, clock, metrics, tls });
      secured.push({ server, listener });
      return { port: listener.port };
    },
    proxies: () => connections.proxies(),
    configDump(node) {
      if (node === undefined) return configDump(catalogue);
      const of = connections.clientOf(node);
      return of && configDump(of.view, of.state);
    },
    preview: (rules, scopes, layers) => [
      ...summed([
        ...preview(world, rules, connections.inspect(), catalogue),
        ...(scopes ? connections.previewScopes(scopes) : []),
      ]),
      ...previewLayers(named, layers ?? new Map(), connections.inspect()),
    ],
    endpointsDump(node) {
      if (node === undefined) return endpointsDump(catalogue);
      const of = connections.clientOf(node);
      return of && endpointsDump(of.view, of.state);
    },
    load,
    shareLoad: () => load.share(),
    setHealthChecks: (targets) => checks.setTargets(targets),
    sidecarsChanged: () => checks.retell(),
    async close({ drainMs }) {
      cancelStartup();
      catchUp.close();
      health.setServing(false);
      const ended = connections.endAll(status.UNAVAILABLE, STOPPING, drainMs / 2);
      calls.endAll(status.UNAVAILABLE, STOPPING);
      for (const { listener } of secured) listener.close();
      const servers = [plaintext, ...secured.map(({ server }) => server)];
      await Promise.all([ended, ...servers.map((server) => shutdown(server, drainMs, clock))]);
      for (const { listener } of secured) listener.destroy();
    },
  };
}

function splitSideOf(world: FederationSnapshot, service: string): string | undefined {
  const policy = world.services.get(service)?.rules.policy;
  return policy?.kind === 'weighted' ? policy.split?.side : undefined;
}

function grpcServer(maxAgeMs: number): Server {
  return new Server({
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    'grpc.max_send_message_length': -1,
    // Its own bookkeeping of each message, which nobody reads here.
    'grpc.enable_channelz': 0,
    // The default of 10 MB ends a session that is sent a large catalogue.
    'grpc-node.max_session_memory': Number.MAX_SAFE_INTEGER,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 20_000,
    'grpc.max_concurrent_streams': 1_000,
    // F6. The library spreads the age by 10 %; what still runs is cut a quarter of the age later.
    ...(maxAgeMs === 0
      ? {}
      : { 'grpc.max_connection_age_ms': maxAgeMs, 'grpc.max_connection_age_grace_ms': maxAgeMs / 2 }),
  });
}

async function listen(server: Server, address: string): Promise<{ readonly port: number }> {
  const at = parseListenAddress(address);
  const host = at?.host.includes(':') ? `[${at.host}]` : at?.host || '0.0.0.0';
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${at?.port ?? ''}`, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(LISTEN_FAILED.from(error, 'xDS', address));
      else resolve({ port });
    });
  });
}

/** Waits for open calls to end, at most `drainMs`, then cuts them. */
async function shutdown(server: Server, drainMs: number, clock: Clock): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancel = clock.after(drainMs, () => {
      server.forceShutdown();
      resolve();
    });
    server.tryShutdown(() => {
      cancel();
      resolve();
    });
  });
}
