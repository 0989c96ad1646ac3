// One try at a Consul datacenter: the catalog and every service in it once, told as one `sync`; then a
// watch on the catalog, and each service followed (follow.ts). Any question that fails ends the try; the
// supervisor starts the next one.
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import { serviceName } from '../../model/names.ts';
import { serviceFilter } from '../filter.ts';
import { blockingLoop } from './blocking.ts';
import type { ConsulCatalog, ConsulClient } from './client.ts';
import { askFrom, warnOnce } from './context.ts';
import type { ConsulContext } from './context.ts';
import { Follower, namesWithTags } from './follow.ts';
import { mapLimit, taskGroup } from '../tasks.ts';
import { Told } from './told.ts';
import { nodesOf } from './turns.ts';

/** Consul's own entry in the catalog: its servers. */
const OWN_SERVICE = 'consul';
/** Questions at once in the first list: beside the watches of other sources that may be there already. */
const firstAtOnce = (maxWatches: number) => Math.min(32, Math.max(8, maxWatches));

export async function watchConsul(
  context: ConsulContext,
  client: ConsulClient,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<void> {
  const { limits, clock } = context;
  const now = askFrom(limits, '0', signal);
  // A leader that has just restarted would answer from a log that it has not read to its end.
  const catalog = await client.services({ ...now, consistent: true });
  const names = pickNames(context, catalog.data);
  // Before the services themselves: what begins to fail meanwhile must not be missed.
  const failing = names.length > limits.maxWatches ? await client.failing(now) : undefined;
  const told = new Told(context, emit);
  const answers = await mapLimit(names, firstAtOnce(limits.maxWatches), async (name) => {
    const { index, data } = await client.health(name, now);
    told.first(name, data);
    return { index, nodes: nodesOf(data) };
  });
  told.sync(names);
  const group = taskGroup(signal);
  const follower = new Follower(context, client, group, told);
  names.forEach((name, n) => follower.add(name, answers[n]));
  follower.takeTurns(failing);
  group.run((inner) =>
    blockingLoop(
      {
        ...limits,
        from: catalog.index,
        clock,
        ask: (index, waitMs) => client.services(askFrom(limits, index, inner, waitMs)),
        onData: (list) => follower.keepOnly(pickNames(context, list)),
      },
      inner,
    ),
  );
  await group.over();
}

/** Names to follow: one for each canonical name, in a stable order. */
function pickNames({ config, warned, log }: ConsulContext, catalog: ConsulCatalog): string[] {
  const included = serviceFilter(config.include.services);
  const chosen = new Map<string, string>();
  for (const name of namesWithTags(catalog, config.tags).sort()) {
    const service = serviceName(name, config.serviceNamespace);
    if (name === OWN_SERVICE || !included(service)) continue;
    const other = chosen.get(service);
    if (other === undefined) chosen.set(service, name);
    else
      warnOnce(warned, `case ${name}`, () =>
        log.warn({ name, other }, 'names differ in case only, left out'),
      );
  }
  return [...chosen.values()];
}
