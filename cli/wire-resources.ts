// Joins resources with the aggregator: those on disk, read once before anything starts, then followed; those that
// come over the API, kept and shared by replicas. What counts of both is decided in config/stored-resources.ts.
import { join } from 'node:path';
import type { ResourceDesk, ResourceName, ShownResource } from '../admin/resources.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import { ResourceStore } from '../aggregator/resources/store.ts';
import type { ResourceChange, StoredResource } from '../aggregator/resources/store.ts';
import { isAboutService } from '../config/kinds.ts';
import { knownSources } from '../config/known-sources.ts';
import { rulesFrom } from '../config/policy.ts';
import { RESOURCE_IN_FILE, RESOURCE_REFUSED } from '../config/problems.ts';
import { loadResources, parseResources, refText } from '../config/resources.ts';
import type { PlacedMigration, ResourceContext, Resources } from '../config/resources.ts';
import type { Config } from '../config/schema.ts';
import { inFiles, mergeStored, problemsOf, serviceIn } from '../config/stored-resources.ts';
import type { MergedResources } from '../config/stored-resources.ts';
import { watchResources } from '../config/watch-resources.ts';
import type { RuntimeLayer } from '../model/runtime.ts';
import type { SidecarScope } from '../model/scope.ts';
import type { RegistrationTemplate } from '../model/sidecars.ts';
import type { Clock } from '../lib/clock.ts';
import type { ServiceRules } from '../model/rules.ts';
import { coalesce } from '../lib/coalesce.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface FollowedResources {
  /** For the admin API. */
  readonly desk: ResourceDesk;
  readonly store: ResourceStore;
  /** What would count, were these resources applied. @throws ISTHMUS_RESOURCES_INVALID */
  wantedWith(documents: readonly unknown[]): Wanted;
  /** How services move, as it is wanted now. */
  migrations(): Resources['migrations'];
  /** Rules are made anew: something else than resources that they hang on has changed. */
  retake(): void;
  /** Who says what a service's policy is, as it is now. */
  policyOrigin(service: string): string;
  /** After the signal aborted. */
  close(): Promise<void>;
}

export interface Wanted {
  /** Of the services that they are about. */
  readonly rules: ReadonlyMap<string, ServiceRules>;
  /** All there would be; undefined: they are about none. */
  readonly sidecars: readonly SidecarScope[] | undefined;
  /** Those among them. */
  readonly layers: ReadonlyMap<string, RuntimeLayer>;
}

export interface ResourceDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly aggregator: Aggregator;
  /** What migrations make of a service's rules. */
  during(service: string, migration: PlacedMigration, rules: ServiceRules): ServiceRules;
  /** What Sidecar resources say; each time that resources were taken in. */
  onScopes(sidecars: readonly SidecarScope[]): void;
  /** What Envoys look up while they serve, by layer; each time that resources were taken in. */
  onLayers(layers: ReadonlyMap<string, RuntimeLayer>): void;
  /** What the sidecars of these services are taken to say; each time that resources were taken in. */
  onTemplates(templates: ReadonlyMap<string, RegistrationTemplate>): void;
  /** What they say of its policy's origin. */
  originDuring(service: string, migration: PlacedMigration): string;
}

/**
 * Follows the resources until `signal` aborts. A state of the files with a fault changes nothing: the last good
 * one counts.
 * @throws ISTHMUS_RESOURCES_INVALID when the first state has one; there is no good one to fall back on then,
 * and to serve without policies would move traffic.
 */
export async function startResources(
  config: Config,
  deps: ResourceDeps,
  signal: AbortSignal,
): Promise<FollowedResources> {
  const { clock, log, metrics, aggregator } = deps;
  const base = rulesFrom(config.merge);
  const context = { base, sources: knownSources(config) };
  const rules = new MergedRules(await loadResources(config.resources, context), context, log);
  const rulesOf = (service: string, of: Pick<Resources, 'rules' | 'migrations'>): ServiceRules => {
    const migration = of.migrations.get(service);
    const own = of.rules.get(service) ?? base;
    return migration ? deps.during(service, migration, own) : own;
  };
  const take = () => {
    const merged = rules.merged();
    const named = new Set([...merged.rules.keys(), ...merged.migrations.keys()]);
    const services = new Map([...named].map((service) => [service, rulesOf(service, merged)]));
    aggregator.setRules({ base, services });
    metrics.resources.count.set(merged.count);
    deps.onScopes([...merged.sidecars.values()]);
    deps.onLayers(merged.layers);
    const templates = [...services].flatMap(([service, { registration }]) =>
      registration ? [[service, registration] as const] : [],
    );
    deps.onTemplates(new Map(templates));
  };
  const soon = coalesce(take, { quietMs: 10, maxMs: 100, clock });
  const store = await ResourceStore.open({
    file: config.dataDir === '' ? '' : join(config.dataDir, 'resources.json'),
    clock,
    log,
    onChange(change) {
      rules.change();
      soon.trigger();
      tellChange(change, context, aggregator);
    },
  });
  rules.stored = () => store.list();
  take();
  metrics.resources.good.set(1);
  const watching =
    config.resources.length === 0
      ? Promise.resolve()
      : watchResources(
          config.resources,
          {
            clock,
            context,
            onResources: (resources) => {
              log.info({ resources: resources.count }, 'resources loaded');
              metrics.resources.good.set(1);
              rules.files = resources;
              take();
            },
            onFault: (error) => {
              metrics.resources.good.set(0);
              log.error({ err: error }, 'resources are refused, the last good ones count');
            },
          },
          signal,
        );
  const fallback = config.merge.policy ? '`merge` in the config' : 'default';
  return {
    desk: deskOf(rules, store, context),
    store,
    wantedWith(documents) {
      const text = documents.map((document) => JSON.stringify(document)).join('\n---\n');
      const next = parseResources([{ file: 'request', text }], context);
      const merged = rules.merged();
      const all = {
        rules: new Map([...merged.rules, ...next.rules]),
        migrations: new Map([...merged.migrations, ...next.migrations]),
      };
      const about = new Set([...next.rules.keys(), ...next.migrations.keys()]);
      const sidecars = new Map([...merged.sidecars, ...next.sidecars]);
      return {
        rules: new Map([...about].map((service) => [service, rulesOf(service, all)])),
        sidecars: next.sidecars.size > 0 ? [...sidecars.values()] : undefined,
        layers: next.layers,
      };
    },
    migrations: () => rules.merged().migrations,
    retake: take,
    policyOrigin(service) {
      const { policyOrigins, migrations } = rules.merged();
      const migration = migrations.get(service);
      return migration ? deps.originDuring(service, migration) : (policyOrigins.get(service) ?? fallback);
    },
    async close() {
      soon.cancel();
      await watching;
      await store.close();
    },
  };
}

/** Files and store together; merged again when either changed. */
class MergedRules {
  stored: () => readonly StoredResource[] = () => [];
  readonly #context: ResourceContext;
  readonly #log: Logger;
  readonly #parsed: Parameters<typeof mergeStored>[3] = new Map();
  #files: Resources;
  #merged: MergedResources | undefined;
  #told = new Map<string, string>();

  constructor(files: Resources, context: ResourceContext, log: Logger) {
    this.#files = files;
    this.#context = context;
    this.#log = log;
  }

  get files(): Resources {
    return this.#files;
  }

  set files(files: Resources) {
    this.#files = files;
    this.change();
  }

  change(): void {
    this.#merged = undefined;
  }

  merged(): MergedResources {
    this.#merged ??= this.#merge();
    return this.#merged;
  }

  #merge(): MergedResources {
    const merged = mergeStored(this.#files, this.stored(), this.#context, this.#parsed);
    for (const [resource, problem] of merged.problems) {
      if (this.#told.get(resource) !== problem) this.#log.error({ resource, problem }, 'a stored resource');
    }
    this.#told = new Map(merged.problems);
    return merged;
  }
}

function deskOf(rules: MergedRules, store: ResourceStore, context: ResourceContext): ResourceDesk {
  const shown = (resource: StoredResource): ShownResource => ({
    ...resource,
    file: '',
    problem: rules.merged().problems.get(refText(resource)) ?? '',
  });
  const notInFile = (name: ResourceName) => {
    const found = inFiles(name, rules.files);
    if (found) throw RESOURCE_IN_FILE(refText(name), found.at);
  };
  return {
    list: () => [
      ...rules.files.found.map(({ at, ...found }) => ({
        ...found,
        file: at,
        by: '',
        revision: '',
        problem: '',
      })),
      ...store.list().map(shown),
    ],
    async put(name, document, by, expected) {
      const check = () => {
        notInFile(name);
        const problems = problemsOf(document, name, rules.files, store.list(), context);
        if (problems.length > 0) throw RESOURCE_REFUSED(refText(name), problems);
      };
      // Also for what is there already: it may have become wrong.
      check();
      const { after, outcome, notes } = await store.put(name, document, by, expected, check);
      return { resource: after && shown(after), outcome, notes };
    },
    async remove(name, by, expected) {
      const { removed, notes } = await store.remove(name, by, expected);
      if (!removed) notInFile(name);
      return { removed: removed && shown(removed), notes };
    },
  };
}

/** A line of the journal for the service that it is about, on every replica. */
function tellChange(
  { before, after, by, isStart, isElsewhere }: ResourceChange,
  context: ResourceContext,
  aggregator: Aggregator,
): void {
  if (isStart) return;
  const resource = after ?? before;
  const service = resource && serviceIn(resource.document, context);
  if (!resource || service === undefined || !isAboutService(resource.kind)) return;
  const verb = after ? (before ? 'changed' : 'created') : 'deleted';
  const where = isElsewhere ? ', on another replica' : '';
  const detail = `${verb} by ${by || 'an operator'}${where}`;
  aggregator.note(service, `${refText(resource)} ${verb}`, { kind: 'operator', detail });
}
