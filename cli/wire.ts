// The only place where the stages meet. Reads top to bottom as the life of a control plane: what is made,
// in which order it starts, and, in reverse, how it ends.
import { LeftOutBook } from '../adapters/left-out.ts';
import { createDiscoverer, findSources, isTemplate } from '../adapters/registry.ts';
import { Seats } from '../adapters/seats.ts';
import { SidecarBook } from '../adapters/sidecar/book.ts';
import { sidecarDoor } from '../adapters/sidecar/door.ts';
import { SidecarTemplates } from '../adapters/sidecar/templates.ts';
import type { SourceDeps } from '../adapters/source.ts';
import { createAdmin } from '../admin/index.ts';
import { readiness } from '../admin/ready.ts';
import type { Readiness } from '../admin/ready.ts';
import { createAggregator } from '../aggregator/aggregator.ts';
import type { Config, SourceConfig } from '../config/schema.ts';
import { childController } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { describeError } from '../lib/errors.ts';
import type { Discoverer } from '../model/discovery.ts';
import { scopeFor } from '../model/scope.ts';
import { withTemplate } from '../model/sidecars.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import type { MisdirectionReport } from '../xds-server/hds/service.ts';
import { createXdsServer } from '../xds-server/server.ts';
import type { Impostor, Owner } from '../model/sidecars.ts';
import { lockDataDir } from './data-dir-lock.ts';
import { sidecarChecks } from './wire-checks.ts';
import { joinCluster } from './wire-cluster.ts';
import { wireJournal } from './wire-journal.ts';
import { openMigrations } from './wire-migration.ts';
import { followLeads, quarantineImpostor, releaseOwner } from './wire-impostors.ts';
import type { LeadsWire } from './wire-impostors.ts';
import { keepingBySource } from './wire-keeping.ts';
import { followLastKnownGood, restoreLastKnownGood } from './wire-known.ts';
import { openOverrides } from './wire-overrides.ts';
import { startProber } from './wire-probe.ts';
import { wireReadiness } from './wire-readiness.ts';
import { openUsage } from './wire-usage.ts';
import type { Usage } from './wire-usage.ts';
import { startResources } from './wire-resources.ts';
import { writeThrough, writtenMarks } from './wire-write-through.ts';

export interface ControlPlaneDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** How long xDS streams get to close in order. */
  readonly drainMs: number;
}

export interface ControlPlane {
  /** Without TLS; 0 when there is no such listener. */
  readonly xdsPort: number;
  readonly adminPort: number;
  ready(): Readiness;
  /** Ends everything, last started first. May be called once. */
  close(): Promise<void>;
}

/**
 * Starts a control plane that runs until `close()`, or until `signal` aborts, and then still wants `close()`.
 * @throws when a client library is missing or an address cannot be had; nothing is left running then.
 */
export async function startControlPlane(
  config: Config,
  deps: ControlPlaneDeps,
  signal: AbortSignal,
): Promise<ControlPlane> {
  const { clock, log } = deps;
  const closers: (() => Promise<void> | void)[] = [];
  const close = async () => {
    for (const end of closers.splice(0).reverse()) await end();
  };
  try {
    // 1. What needs no address: a config that cannot work fails here, before anything listens.
    closers.push(await lockDataDir(config.dataDir, log));
    const metrics = createMetrics({ processMetrics: true });
    const leftOut = new LeftOutBook();
    const sidecars = new SidecarBook(clock);
    const templates = new SidecarTemplates();
    const sourceDeps = {
      clock,
      log,
      metrics,
      leftOut,
      seats: new Seats(),
      marks: writtenMarks(config),
      sidecars,
      templates,
      onImpostor: (impostor: Impostor) => quarantineImpostor(aggregator, impostor),
      onOwner: (owner: Owner) => releaseOwner(aggregator, owner),
    };
    const fixed = config.sources.filter((source) => !isTemplate(source));
    const discoverers = await Promise.all(fixed.map((source) => createDiscoverer(source, sourceDeps)));
    // A template waits for itself until it has found what it stands for.
    const expected = new Map<string, readonly Expected[]>(
      config.sources.map((source) => [source.name, [source]]),
    );

    // 2. The stages, each knowing the next only by a function.
    const order = config.sources.map((source) => source.name);
    const owners = config.sources.filter(knowsOwners).map((source) => source.name);
    const journal = wireJournal(config.dataDir, log, metrics);
    closers.push(() => journal?.close());
    const later: { usage?: Usage; leads?: LeadsWire } = {};
    const aggregator = createAggregator({
      order,
      clock,
      log,
      metrics,
      knowsOwners: (source) => owners.includes(source),
      keeping: keepingBySource(config.sources, (source, of) => later.usage?.isRetired(source, of) === true),
      ...(journal ? { journal: (changes) => journal.append(changes) } : {}),
    });
    closers.push(() => aggregator.close());
    closers.push(followLastKnownGood(config, aggregator, sourceDeps));
    const onLead = (lead: MisdirectionReport) => later.leads?.follow(lead);
    const checks = sidecarChecks(config, aggregator, { clock, onLead });
    const xds = createXdsServer({
      log,
      clock,
      metrics,
      loadReportIntervalMs: config.xds.loadReportInterval,
      accessLogSamplePercent: config.xds.accessLog.samplePercent,
      limits: {
        maxConnectionAgeMs: config.xds.maxConnectionAge,
        slowReaderMs: config.xds.slowReaderTimeout,
        startingBytes: config.xds.maxStartingMegabytes * 1024 * 1024,
        maxStreams: config.xds.maxStreams,
      },
      healthChecks: checks.settings,
      onHealth: (report) => checks.hear(report),
      onApp: (report) => sidecars.report(report),
      completeSidecar: (said) => withTemplate(said, templates.of(said.service)),
      onMisdirected: onLead,
      onSidecar: sidecarDoor(
        config.sources.find((source) => source.kind === 'sidecar'),
        sidecars,
        sourceDeps,
      ),
    });
    closers.push(() => xds.close({ drainMs: deps.drainMs }));
    const ready = () => readiness(aggregator.current, [...expected.values()].flat());
    aggregator.subscribe((snapshot) => {
      xds.update(snapshot);
      xds.setReady(ready().ready);
    });

    const { controller, release } = childController(signal);
    closers.push(release);
    later.leads = followLeads(config, aggregator, sourceDeps, controller.signal);
    const migrations = await openMigrations(config, { clock, log, metrics, aggregator });
    closers.push(() => migrations.close());
    const resources = await startResources(
      config,
      {
        clock,
        log,
        metrics,
        aggregator,
        ...migrations.rules,
        onScopes: (sidecars) => xds.setScopes((node) => scopeFor(sidecars, node)),
        onLayers: (layers) => xds.setLayers(layers),
        onTemplates(of) {
          templates.set(of);
          xds.sidecarsChanged();
        },
      },
      controller.signal,
    );
    closers.push(async () => {
      controller.abort(new Error('control plane closes'));
      await resources.close();
    });
    const migrating = migrations.start(resources, xds.load, controller.signal);
    const called = { aggregator, load: xds.load, proxies: () => xds.proxies(), clock, log };
    const used = await openUsage(config, { ...called, migrations: migrating.desk }, controller.signal);
    later.usage = used;
    closers.push(() => used.close());

    // 3. What was known when the last process ended, held until its sources answer; what operators had set.
    const { overrides, mayWrite } = await openOverrides(config, aggregator, sourceDeps);
    closers.push(() => overrides.close());
    const restored = await restoreLastKnownGood(
      config,
      aggregator,
      sourceDeps,
      isTemplate,
      controller.signal,
    );
    for (const [{ name, required }, names] of restored) {
      expected.set(
        name,
        names.map((each) => ({ name: each, required })),
      );
    }
    await aggregator.settled(controller.signal);
    await xds.settled();

    // 4. Addresses: xDS, then the API that tells how xDS is doing.
    const { plaintext, tls } = config.xds;
    const { port: xdsTlsPort = 0 } = tls ? await xds.listenTls(tls) : {};
    const { port: xdsPort } = plaintext === '' ? { port: 0 } : await xds.listen(plaintext);
    const admin = createAdmin({
      listen: config.admin.listen,
      snapshot: () => aggregator.current,
      proxies: () => xds.proxies(),
      history: journal?.history(aggregator, (service) => overrides.of(service)),
      load: xds.load,
      configDump: (node) => xds.configDump(node),
      endpointsDump: (node) => xds.endpointsDump(node),
      ready,
      overrides,
      resources: resources.desk,
      migrations: used.migrations,
      retirement: used.retirement,
      preview(documents) {
        const { rules, sidecars, layers } = resources.wantedWith(documents);
        return xds.preview(rules, sidecars && ((node) => scopeFor(sidecars, node)), layers);
      },
      mayWrite,
      readiness: wireReadiness({
        ...called,
        config,
        leftOut,
        policyOrigin: (service) => resources.policyOrigin(service),
        migrations: migrating.desk,
      }),
      explain: {
        notes: (source, service, key) => aggregator.notes(source, service, key),
        policyOrigin: (service) => resources.policyOrigin(service),
        leftOut,
      },
      metrics,
      clock,
      log,
    });
    const { port: adminPort } = await admin.listen();
    closers.push(() => admin.close());

    // 5. The sources, last: what they say has somewhere to go.
    const cluster = await joinCluster(config.cluster, aggregator, { clock, log });
    closers.push(() => cluster.close());
    const writing = writeThrough(config, { aggregator, clock, log });
    const watching = [
      cluster.share(overrides.table, controller.signal),
      cluster.share(resources.store.table, controller.signal),
      cluster.share(migrations.table, controller.signal),
      cluster.share(used.table, controller.signal),
      cluster.sidecars(sidecars, controller.signal),
      used.run(),
      cluster.lead('migrations', (elsewhere) => migrating.setLeader(elsewhere), controller.signal),
      migrating.run(),
      cluster.lead('write-through', (elsewhere) => writing.setLeader(elsewhere), controller.signal),
      writing.run(controller.signal),
      cluster.shareLoad(() => xds.shareLoad(), controller.signal),
      ...discoverers.map((discoverer) => cluster.follow(discoverer, controller.signal)),
    ];
    const taken = new Set(fixed.map(({ name }) => name));
    watching.push(
      ...config.sources.filter(isTemplate).map((template) =>
        followTemplate(template, sourceDeps, taken, controller.signal, {
          found: (sources) => expected.set(template.name, sources),
          attach: (discoverer) => cluster.follow(discoverer, controller.signal),
        }),
      ),
    );
    watching.push(startProber(config, aggregator, sourceDeps, controller.signal));
    watching.push(checks.run((targets) => xds.setHealthChecks(targets), controller.signal));
    closers.push(async () => {
      controller.abort(new Error('control plane closes'));
      await Promise.all(watching);
    });
    log.info(
      {
        xds: plaintext,
        xdsPort,
        ...(tls && { xdsTls: tls.listen, xdsTlsPort }),
        admin: config.admin.listen,
        adminPort,
      },
      'control plane is up',
    );
    return { xdsPort, adminPort, ready, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** What readiness waits for. */
type Expected = Pick<SourceConfig, 'name' | 'required'>;

/** Kubernetes gives an address to one pod only, and lists it under each Service that selects the pod. */
function knowsOwners(source: SourceConfig): boolean {
  return source.kind === 'kubernetes' || (source.kind === 'file' && source.format === 'kubernetes');
}

/** Attaches what a template stands for as it is found; ends when the signal aborted and all of it ended. */
async function followTemplate(
  template: SourceConfig,
  deps: SourceDeps,
  taken: ReadonlySet<string>,
  signal: AbortSignal,
  on: {
    /** All that was found so far. */
    found(sources: SourceConfig[]): void;
    attach(discoverer: Discoverer): Promise<void>;
  },
): Promise<void> {
  const { log } = deps;
  const attached: Promise<void>[] = [];
  const found: SourceConfig[] = [];
  let last = '';
  const onFault = (thrown: Error) => {
    const cause = describeError(thrown);
    // The same cause at every retry is no news.
    if (cause !== last) log.warn({ source: template.name, cause }, 'cannot find out what it stands for');
    last = cause;
  };
  try {
    for await (const all of findSources(template, deps, onFault, signal)) {
      last = '';
      const fresh = all.filter(({ name }) => !taken.has(name));
      if (fresh.length < all.length) {
        log.warn(
          { source: template.name, taken: [...taken] },
          'a source of that name is in the config, it counts',
        );
      }
      found.push(...fresh);
      on.found(found);
      for (const source of fresh) attached.push(on.attach(await createDiscoverer(source, deps)));
    }
  } catch (thrown) {
    log.error({ source: template.name, err: thrown }, 'its sources are not looked for any more');
  }
  await Promise.all(attached);
}
