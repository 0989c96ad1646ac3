// Rule 8: a service without an endpoint to use has a cause, and each cause its policy. Pure.
import { isReady } from '../endpoint.ts';
import { mergeShards } from '../merge.ts';
import type { ServiceShards } from '../snapshot.ts';
import type { MergedEndpoint, MergedPort, MergedService } from './types.ts';

/** docs/merge.md says what follows from each. */
export type Emptiness =
  /** No source ever named it. */
  | 'never-registered'
  /** A source names it and lists no endpoint. */
  | 'deregistered'
  /** It has endpoints, and all fail their checks. */
  | 'all-failing'
  /** It has endpoints, and all are being drained. */
  | 'all-draining'
  /** It has endpoints, and all answered as other services. */
  | 'all-quarantined'
  /** It is not known, or what is left of it is in doubt, because a source does not answer. */
  | 'source-dark'
  /** What is left of it is in doubt, because too much was removed at once (rule 9). */
  | 'removed-at-once'
  /** Its sources offer it, and the config keeps it out. */
  | 'filtered';

/** What is known beside the slice. */
export interface Surroundings {
  /** A source offers it and its config leaves it out. */
  readonly filtered: boolean;
  /** Sources that never answered, or do not answer now. */
  readonly dark: readonly string[];
}

/** Why no endpoint of a service is ready beyond doubt; undefined when one is. */
export function emptiness(slice: ServiceShards | undefined, around: Surroundings): Emptiness | undefined {
  if (!slice)
    return around.filtered ? 'filtered' : around.dark.length > 0 ? 'source-dark' : 'never-registered';
  const ports = portsOf(mergeShards(slice));
  const endpoints = ports.flatMap((port) => port.endpoints);
  const ready = endpoints.filter(isReady);
  if (ready.some(({ verdict }) => !verdict.doubted)) return undefined;
  if (ready.length > 0) return causeOfDoubt(ready);
  if (endpoints.length > 0) return causeOfIdleness(endpoints);
  if (ports.some((port) => port.withheld.length > 0)) return 'all-quarantined';
  if (around.filtered) return 'filtered';
  const dark = [...slice.shards.keys()].some(
    (source) => around.dark.includes(source) || slice.dark.has(source),
  );
  return dark ? 'source-dark' : 'deregistered';
}

/** All ports of a service, those of its sources when it is isolated. */
export function portsOf(service: MergedService): readonly MergedPort[] {
  return service.ports.length > 0 ? service.ports : service.pinned.flatMap(({ ports }) => ports);
}

function causeOfDoubt(ready: readonly MergedEndpoint[]): Emptiness {
  const removed = ready.some(({ verdict }) => verdict.doubted?.cause === 'removed-at-once');
  return removed ? 'removed-at-once' : 'source-dark';
}

/** Failing outweighs leaving: what fails may come back, and is what an operator must see. */
function causeOfIdleness(endpoints: readonly MergedEndpoint[]): Emptiness {
  return endpoints.some(({ health }) => health === 'unhealthy') ? 'all-failing' : 'all-draining';
}
