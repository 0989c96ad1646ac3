// Which clusters a service has, and under which names: one per port, and one per port and source where sources
// are to be reached one by one.
import type { MergedPort, MergedService } from '../../model/merge/types.ts';
import { clusterName, pinnedName } from '../../model/names.ts';
import type { ServiceRules } from '../../model/rules.ts';

export interface NamedCluster {
  readonly name: string;
  readonly port: MergedPort;
  /** The source it is pinned to. */
  readonly source?: string;
  readonly rules: ServiceRules;
}

export function clustersOf(service: MergedService): readonly NamedCluster[] {
  const { service: of, rules } = service;
  return [
    ...service.ports.map((port) => ({ name: clusterName(of, port.name, service.primaryPort), port, rules })),
    ...service.pinned.flatMap(({ source, primaryPort, ports }) =>
      ports.map((port) => ({
        name: pinnedName(clusterName(of, port.name, primaryPort), source),
        port,
        source,
        rules: alone(rules),
      })),
    ),
  ];
}

const aloneBy = new WeakMap<ServiceRules, ServiceRules>();

/** One source has no sides. The same object for the same rules, since what follows from rules is kept by object. */
function alone(rules: ServiceRules): ServiceRules {
  const known = aloneBy.get(rules) ?? { ...rules, policy: { kind: 'union' as const } };
  aloneBy.set(rules, known);
  return known;
}
