// A Kubernetes cluster as a source: follows Services and EndpointSlices and tells what callers can reach;
// Pods and Nodes add labels and places. Read-only.
import type { KubernetesSource } from '../../config/schema.ts';
import { Hold } from '../../lib/retry-after.ts';
import type { Discoverer } from '../../model/discovery.ts';
import { supervisedSource } from '../source.ts';
import type { SourceDeps, SourceTimings } from '../source.ts';
import { connect } from './connect.ts';
import { KubeDecor } from './decor.ts';
import { follow, namespacesOf } from './follow.ts';
import { Notices } from './notices.ts';
import { SERVICES, queryOf } from './resources.ts';

export interface KubernetesTimings extends SourceTimings {
  /** Wait before asking again for pods or nodes that may not be read. Default 60,000 ms. */
  readonly deniedRetryMs?: number;
  /** Wait before looking again for resources that the cluster does not have. Default 300,000 ms. */
  readonly absentRetryMs?: number;
}

export function createKubernetesSource(
  config: KubernetesSource,
  deps: SourceDeps,
  { deniedRetryMs = 60_000, absentRetryMs = 300_000, ...timings }: KubernetesTimings = {},
): Discoverer {
  const { name: source, kind } = config;
  const decor = new KubeDecor();
  const readImports = new Set<string>();
  const hold = new Hold(deps.clock);
  const notices = new Notices(deps.log.child({ source, kind }));
  const { clock } = deps;
  const parts = { config, clock, decor, notices, readImports, deniedRetryMs, absentRetryMs };
  // Of the first namespace; a consistent read, so that an API server without its etcd counts as dark.
  // (With resourceVersion=0 it would ignore the limit and send everything.)
  const question = queryOf(SERVICES, namespacesOf(config)[0] ?? '*', 'list', { limit: '1' });
  return supervisedSource({
    ...deps,
    source,
    kind,
    timings,
    notice: () => notices.text,
    open: async () => {
      const transport = await connect(config, hold);
      return {
        watch: (emit, signal) => follow({ ...parts, transport }, emit, signal),
        probe: (signal) => transport.probe(question, signal),
        // Every request has a connection of its own and ends with its signal.
        close: () => undefined,
      };
    },
  });
}
