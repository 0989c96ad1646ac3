// A Kubernetes cluster as a source: follows Services and EndpointSlices and tells what callers can reach.
// Read-only. Pods are not asked for: slices say which of them are ready, terminating, and where.
import type { KubernetesSource } from '../../config/schema.ts';
import { childController } from '../../lib/abort.ts';
import type { Discoverer, DiscoveryUpdate } from '../../model/discovery.ts';
import type { Attempt } from '../../lib/supervisor.ts';
import { serviceFilter } from '../filter.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { connect } from './connect.ts';
import { reflect } from './reflector.ts';
import { ENDPOINT_SLICES, SERVICES, queryOf } from './resources.ts';
import { KubeStore } from './store.ts';
import type { KubeTransport } from './transport.ts';

export function createKubernetesSource(
  config: KubernetesSource,
  deps: SourceDeps,
  timings?: SourceTimings,
): Discoverer {
  return supervisedSource({
    ...deps,
    source: config.name,
    kind: config.kind,
    timings,
    open: async () => openAttempt(config, deps, await connect(config)),
  });
}

function openAttempt(
  config: KubernetesSource,
  deps: SourceDeps,
  transport: KubeTransport,
): Attempt<DiscoveryUpdate> {
  const namespaces = config.namespaces.includes('*') ? ['*'] : [...new Set(config.namespaces)];
  // Of the first namespace; a consistent read, so that an API server without its etcd counts as dark.
  // (With resourceVersion=0 it would ignore the limit and send everything.)
  const question = queryOf(SERVICES, namespaces[0] ?? '*', 'list', { limit: '1' });
  return {
    watch: (emit, signal) => follow(config, deps, transport, namespaces, emit, signal),
    probe: async (signal) => {
      await transport.getJson(question, signal);
    },
    // Every request has a connection of its own and ends with its signal.
    close: () => undefined,
  };
}

async function follow(
  config: KubernetesSource,
  deps: SourceDeps,
  transport: KubeTransport,
  namespaces: readonly string[],
  emit: (update: DiscoveryUpdate) => void,
  parent: AbortSignal,
): Promise<void> {
  const { locality, network, include } = config;
  const store = new KubeStore({ locality, network }, serviceFilter(include.services));
  const unlisted = new Set(
    namespaces.flatMap((n) => [`${SERVICES.name}/${n}`, `${ENDPOINT_SLICES.name}/${n}`]),
  );
  const { controller, release } = childController(parent);

  const listed = (what: string) => {
    unlisted.delete(what);
    if (unlisted.size === 0) emit({ type: 'sync', groups: store.groups() });
  };
  const changed = (services: Iterable<string>) => {
    // Before the first sync, changes are part of it.
    if (unlisted.size > 0) return;
    for (const service of new Set(services)) {
      const group = store.group(service);
      emit(group ? { type: 'group', group } : { type: 'gone', service });
    }
  };

  const common = { transport, clock: deps.clock };
  const running = namespaces.flatMap((namespace) => [
    reflect(
      {
        ...common,
        resource: SERVICES,
        namespace,
        onList: (services) => {
          store.replaceServices(namespace, services);
          listed(`${SERVICES.name}/${namespace}`);
        },
        onChanges: (changes) =>
          changed(
            changes.flatMap(({ type, object }) =>
              type === 'put' ? store.putService(object) : store.deleteService(object),
            ),
          ),
      },
      controller.signal,
    ),
    reflect(
      {
        ...common,
        resource: ENDPOINT_SLICES,
        namespace,
        onList: (slices) => {
          store.replaceSlices(namespace, slices);
          listed(`${ENDPOINT_SLICES.name}/${namespace}`);
        },
        onChanges: (changes) =>
          changed(
            changes.flatMap(({ type, object }) =>
              type === 'put' ? store.putSlice(object) : store.deleteSlice(object),
            ),
          ),
      },
      controller.signal,
    ),
  ]);
  try {
    // Rejects with the first fault.
    await Promise.race(running);
  } finally {
    controller.abort(new Error('watch over'));
    release();
    await Promise.allSettled(running);
  }
}
