// Somebody else answers where a sidecar was: what any source lists at that address, or keeps in doubt, the sidecar's port or its
// app's, is quarantined in that service.
import type { Aggregator } from '../aggregator/aggregator.ts';
import { endpointKey } from '../model/endpoint.ts';
import type { Impostor } from '../model/sidecars.ts';

/** Of one who does not say; a sidecar that answers for itself names itself. */
const NOBODY = 'somebody without a name';

export function quarantineImpostor(
  aggregator: Aggregator,
  { service, address, ports, answeredAs }: Impostor,
): void {
  const verdict = { kind: 'answeredAs', service: answeredAs || NOBODY } as const;
  for (const [source, { group }] of aggregator.current.services.get(service)?.shards ?? []) {
    for (const endpoint of group.endpoints) {
      if (endpoint.address !== address || !ports.includes(endpoint.port)) continue;
      aggregator.prove(source, service, endpointKey(endpoint), verdict, { kind: 'prober', failing: 0 });
    }
  }
}
