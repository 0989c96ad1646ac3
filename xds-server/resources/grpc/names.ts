// What a gRPC client dials, `xds:///NAME`: a service by any of its names, with or without a port, a cluster by
// its own name, or what one source alone offers (`orders@consul-dc1`).
import type { DialectSource } from '../../dialect.ts';

export interface Target {
  readonly service: string;
  readonly cluster: string;
}

const PORT = /:\d+$/;

/** What must exist for a target to exist: its name without a port number, lower case. */
export const hostOf = (target: string): string => target.replace(PORT, '').toLowerCase();

/**
 * Case does not matter. Where no registry says which port callers name, any number means the primary port:
 * who dialled `orders:50051` before keeps doing so. Where one does, an unknown number is no service.
 */
export function resolveTarget(name: string, source: DialectSource): Target | undefined {
  const known = source.clusterOf(name) ?? source.clusterOf(name.toLowerCase());
  if (known || !PORT.test(name)) return known;
  const host = source.clusterOf(hostOf(name));
  if (!host) return undefined;
  const ports = source.merged(host.service)?.ports ?? [];
  return ports.some(({ numbers }) => numbers.length > 0) ? undefined : host;
}
