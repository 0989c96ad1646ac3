// When and how news are told: nothing before every part was listed once, then one sync, then changes by
// service. It knows nothing of the API.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import type { KubeStore } from './store.ts';

export type Teller = ReturnType<typeof tellerOf>;

/** Endpoints and services put together before others get their turn: some 5 ms of work. */
const ENDPOINTS_A_TURN = 1_000;

/**
 * Holds everything back until all parts were listed once: then changes are told, by service. A sync is put
 * together in turns, as that of a large cluster takes half a second; what changes meanwhile is told after it.
 */
export function tellerOf(store: KubeStore, emit: (update: DiscoveryUpdate) => void, signal: AbortSignal) {
  const unlisted = new Set<unknown>(['begin']);
  const missed = new Set<string>();
  let telling = false;
  let again = false;
  let fail: (thrown: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });

  const tell = (services: Iterable<string>) => {
    for (const service of services) {
      const group = store.group(service);
      const intended = store.wasDeleted(service, group === undefined) ? { intended: true as const } : {};
      emit(group ? { type: 'group', group, ...intended } : { type: 'gone', service, ...intended });
    }
  };
  const tellAll = async () => {
    do {
      again = false;
      missed.clear();
      const groups = await inTurns(store, signal);
      if (signal.aborted) return;
      if (!again) emit({ type: 'sync', groups });
    } while (again);
    telling = false;
    tell(missed);
  };
  const sync = () => {
    again = true;
    if (telling) return;
    telling = true;
    tellAll().catch(fail);
  };
  const listed = (part: unknown) => {
    if (unlisted.delete(part) && unlisted.size === 0) sync();
  };
  return {
    /** Rejects when something could not be told. */
    failed,
    begin: () => listed('begin'),
    expect: (part: unknown) => unlisted.add(part),
    listed,
    get hasListedAll() {
      return unlisted.size === 0;
    },
    sync,
    changed: (services: Iterable<string>) => {
      // Before the first sync, changes are part of it.
      if (unlisted.size > 0) return;
      if (!telling) tell(new Set(services));
      else for (const service of services) missed.add(service);
    },
  };
}

/** All groups of the store; less when `signal` aborts. */
async function inTurns(store: KubeStore, signal: AbortSignal): Promise<EndpointGroup[]> {
  const groups: EndpointGroup[] = [];
  let work = 0;
  for (const name of store.names()) {
    const group = store.group(name);
    if (group) groups.push(group);
    work += 1 + (group?.endpoints.length ?? 0);
    if (work < ENDPOINTS_A_TURN) continue;
    work = 0;
    await nextTurn();
    if (signal.aborted) break;
  }
  return groups;
}
