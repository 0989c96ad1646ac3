// One try: every resource followed at once, their news told by service. Services and slices (and, where a
// selector asks for them, namespaces) are what the source is about: their faults end the try. Pods and nodes
// decorate: not being allowed to read them is noted, and asked about again now and then.
import { aborted, childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { KubernetesSource } from '../../config/schema.ts';
import { takeTurns } from '../../lib/turns.ts';
import type { Turns } from '../../lib/turns.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import { serviceFilter } from '../filter.ts';
import type { KubeEndpointSlice, KubeService } from '../kube-map.ts';
import type { KubeDecor } from './decor.ts';
import { isAbsent, isForbidden } from './errors.ts';
import type { Notices } from './notices.ts';
import { reflect } from './reflector.ts';
import {
  ENDPOINT_SLICES,
  IMPORTED_SLICES,
  NODES,
  PODS,
  SERVICES,
  SERVICE_IMPORTS,
  namespacesWith,
} from './resources.ts';
import type { KubeResource, NamespaceSelector } from './resources.ts';
import { KubeStore } from './store.ts';
import { tellerOf } from './teller.ts';
import type { Teller } from './teller.ts';
import type { KubeTransport } from './transport.ts';
import type { KubeChange } from './watch.ts';

export interface FollowContext {
  readonly config: KubernetesSource;
  readonly clock: Clock;
  readonly transport: KubeTransport;
  readonly decor: KubeDecor;
  readonly notices: Notices;
  /** Before asking again for what was denied. */
  readonly deniedRetryMs: number;
  /** Before asking again for what the cluster does not have. */
  readonly absentRetryMs: number;
  /** Namespaces whose ServiceImports could be read, over all tries of the source. */
  readonly readImports: Set<string>;
}

type Emit = (update: DiscoveryUpdate) => void;

/** One resource in one namespace; both functions return the services that are no longer the same. */
interface Part<T> {
  readonly resource: KubeResource<T>;
  readonly namespace: string;
  readonly decorates?: string;
  list(objects: readonly T[], turns: Turns): Iterable<string> | Promise<Iterable<string>>;
  change(change: KubeChange<T>): Iterable<string>;
}

/** `*` alone, or each namespace once. */
export function namespacesOf(config: Pick<KubernetesSource, 'namespaces'>): string[] {
  return config.namespaces.includes('*') ? ['*'] : [...new Set(config.namespaces)];
}

/** Rejects with the first fault. */
export async function follow(context: FollowContext, emit: Emit, parent: AbortSignal): Promise<void> {
  const { config, decor } = context;
  const { locality, network, include, ipFamily } = config;
  const store = new KubeStore(
    {
      locality,
      network,
      ipFamily,
      consulAnnotations: config.consulAnnotations,
      ...(config.pods ? { podOf: (namespace, name) => decor.podOf(namespace, name) } : {}),
      ...(config.nodes ? { nodeOf: (name) => decor.nodeOf(name) } : {}),
    },
    serviceFilter(include.services),
  );
  const { controller, release } = childController(parent);
  const { signal } = controller;
  const teller = tellerOf(store, emit, signal);
  const run = <T>(part: Part<T>) => followPart(context, part, teller, signal);
  const running = namespacesOf(config).flatMap((namespace) => [
    run(services(store, namespace)),
    run(slices(store, namespace, decor)),
    ...(config.pods ? [run(pods(store, namespace, decor))] : []),
    ...(config.serviceImports ? [followImports(context, store, namespace, teller, signal)] : []),
  ]);
  if (config.nodes) running.push(run(nodes(store, decor)));
  if (config.namespaceSelector) running.push(run(namespaces(store, config.namespaceSelector)));
  teller.begin();
  try {
    await Promise.race([...running, teller.failed]);
  } finally {
    controller.abort(new Error('watch over'));
    release();
    await Promise.allSettled(running);
  }
}

function reflectPart<T>(
  { transport, clock, notices }: FollowContext,
  part: Part<T>,
  teller: Teller,
  signal: AbortSignal,
): Promise<never> {
  const { resource, namespace, decorates } = part;
  const onList = async (objects: readonly T[]) => {
    const touched = await part.list(objects, takeTurns(signal));
    notices.clear(resource.name, namespace);
    // A list that comes later (after a 410) is a new truth about all of its namespace.
    if (!teller.hasListedAll) teller.listed(part);
    else if (decorates === undefined) teller.sync();
    else teller.changed(touched);
  };
  const onChanges = (changes: readonly KubeChange<T>[]) =>
    teller.changed(changes.flatMap((change) => [...part.change(change)]));
  return reflect({ transport, clock, resource, namespace, onList, onChanges }, signal);
}

async function followPart<T>(
  context: FollowContext,
  part: Part<T>,
  teller: Teller,
  signal: AbortSignal,
): Promise<never> {
  const { clock, notices, deniedRetryMs } = context;
  const { resource, namespace, decorates } = part;
  teller.expect(part);
  for (;;) {
    try {
      return await reflectPart(context, part, teller, signal);
    } catch (thrown) {
      if (signal.aborted || decorates === undefined || !isForbidden(thrown)) throw thrown;
      notices.add(resource.name, namespace, decorates, thrown);
      teller.listed(part);
    }
    await sleep(deniedRetryMs, signal, clock);
  }
}

/**
 * ServiceImports and their slices. A cluster without them counts as having none, and is asked again rarely;
 * so does one that never let us read them.
 */
async function followImports(
  context: FollowContext,
  store: KubeStore,
  namespace: string,
  teller: Teller,
  parent: AbortSignal,
): Promise<never> {
  const { readImports, absentRetryMs, clock } = context;
  let found: () => void = () => undefined;
  const services = imports(store, namespace, () => found());
  const slices = importedSlices(store, namespace);
  for (const part of [services, slices]) teller.expect(part);
  for (;;) {
    const { controller, release } = childController(parent);
    const { signal } = controller;
    const present = new Promise<void>((resolve) => {
      found = () => {
        readImports.add(namespace);
        resolve();
      };
    });
    const running = [
      reflectPart(context, services, teller, signal),
      Promise.race([present, aborted(signal)]).then(() => reflectPart(context, slices, teller, signal)),
    ];
    try {
      await Promise.race(running);
    } catch (thrown) {
      // What was read once and no longer may be is a fault: it must not pass for "no longer there".
      const never = isForbidden(thrown) && !readImports.has(namespace);
      if (parent.aborted || !(isAbsent(thrown) || never)) throw thrown;
    } finally {
      controller.abort(new Error('not there'));
      release();
      await Promise.allSettled(running);
    }
    const left = await store.replaceSlices(namespace, [], takeTurns(parent), true);
    const touched = [...store.replaceImports(namespace, []), ...left];
    for (const part of [services, slices]) teller.listed(part);
    teller.changed(touched);
    await sleep(absentRetryMs, parent, clock);
  }
}

function imports(store: KubeStore, namespace: string, onList: () => void) {
  return {
    resource: SERVICE_IMPORTS,
    namespace,
    list: (objects) => {
      onList();
      return store.replaceImports(namespace, objects);
    },
    change: ({ type, object }) => store.setImport(object, type === 'put' ? object : undefined),
  } satisfies Part<KubeService>;
}

function importedSlices(store: KubeStore, namespace: string) {
  return {
    resource: IMPORTED_SLICES,
    namespace,
    list: (objects, turns) => store.replaceSlices(namespace, objects, turns, true),
    change: ({ type, object }) => (type === 'put' ? store.putSlice(object) : store.deleteSlice(object)),
  } satisfies Part<KubeEndpointSlice>;
}

function services(store: KubeStore, namespace: string) {
  return {
    resource: SERVICES,
    namespace,
    list: async (objects, turns) => {
      await store.replaceServices(namespace, objects, turns);
      return [];
    },
    change: ({ type, object }) => (type === 'put' ? store.putService(object) : store.deleteService(object)),
  } satisfies Part<ReturnType<typeof SERVICES.slim>>;
}

function slices(store: KubeStore, namespace: string, decor: KubeDecor) {
  return {
    resource: ENDPOINT_SLICES,
    namespace,
    list: async (objects, turns) => {
      await store.replaceSlices(namespace, objects, turns);
      return [];
    },
    change: ({ type, object }) => {
      const touched = type === 'put' ? store.putSlice(object) : store.deleteSlice(object);
      decor.sweepPods((key) => store.listsPod(key));
      return touched;
    },
  } satisfies Part<ReturnType<typeof ENDPOINT_SLICES.slim>>;
}

function pods(store: KubeStore, namespace: string, decor: KubeDecor) {
  return {
    resource: PODS,
    namespace,
    decorates: 'labels and service accounts of pods are not known',
    list: (objects) => store.servicesOfPods(decor.replacePods(namespace, objects)),
    change: ({ type, object }) => {
      if (type === 'put') return store.servicesOfPods(decor.putPod(object));
      decor.deletePod(object);
      decor.sweepPods((key) => store.listsPod(key));
      return [];
    },
  } satisfies Part<ReturnType<typeof PODS.slim>>;
}

function nodes(store: KubeStore, decor: KubeDecor) {
  return {
    resource: NODES,
    namespace: '*',
    decorates: 'regions of nodes are not known',
    list: (objects) => store.servicesOnNodes(decor.replaceNodes(objects)),
    change: ({ type, object }) => (type === 'put' ? store.servicesOnNodes(decor.putNode(object)) : []),
  } satisfies Part<ReturnType<typeof NODES.slim>>;
}

function namespaces(store: KubeStore, selector: NamespaceSelector) {
  const matching = new Set<string>();
  store.setNamespaces(matching);
  return {
    resource: namespacesWith(selector),
    namespace: '*',
    list: (names) => {
      matching.clear();
      for (const name of names) matching.add(name);
      return store.setNamespaces(matching);
    },
    change: ({ type, object }) => {
      if (type === 'put') matching.add(object);
      else matching.delete(object);
      return store.setNamespaces(matching);
    },
  } satisfies Part<string>;
}
