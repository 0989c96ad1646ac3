// Who answers where: what pings of sidecars' addresses, and what data planes tell, mean for every source that lists the
// address, or keeps it in doubt, at the sidecar's port or at its app's.
import { Leads } from '../adapters/probe/leads.ts';
import type { LeadTarget } from '../adapters/probe/leads.ts';
import { isOnLoopback, mayPing } from '../adapters/probe/reach.ts';
import type { Aggregator } from '../aggregator/aggregator.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { endpointKey } from '../model/endpoint.ts';
import type { Endpoint } from '../model/endpoint.ts';
import type { Verdict } from '../model/ping.ts';
import type { Shard } from '../model/shard.ts';
import { APP_PORT_LABEL } from '../model/sidecars.ts';
import type { Impostor, Owner } from '../model/sidecars.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { MisdirectionReport } from '../xds-server/hds/service.ts';
import { sourceEntry } from './wire-keeping.ts';

/** Of one who does not say; a sidecar that answers for itself names itself. */
const NOBODY = 'somebody without a name';

type Proving = Pick<Aggregator, 'current' | 'prove'>;

/** Somebody else answers where a sidecar was. */
export function quarantineImpostor(aggregator: Proving, { answeredAs, ...at }: Impostor): void {
  const verdict = { kind: 'answeredAs', service: answeredAs || NOBODY } as const;
  for (const { source, key } of listedAt(aggregator, at)) prove(aggregator, source, at.service, key, verdict);
}

/** A sidecar has answered in the name of its service: its app is there again, too. */
export function releaseOwner(aggregator: Proving, owner: Owner): void {
  for (const { source, key, shard } of listedAt(aggregator, owner)) {
    if (shard.marks.get(key)?.quarantined) {
      prove(aggregator, source, owner.service, key, { kind: 'alive' });
    }
  }
}

export interface LeadsWire {
  follow(report: MisdirectionReport): void;
}

/** Follows what data planes tell, until `signal` aborts. */
export function followLeads(
  { probe, sources }: Pick<Config, 'probe' | 'sources'>,
  aggregator: Proving,
  deps: { readonly clock: Clock; readonly log: Logger; readonly metrics: Metrics },
  signal: AbortSignal,
): LeadsWire {
  const entryOf = sourceEntry(sources);
  const isReachable = (source: string, endpoint: Endpoint): boolean => {
    const entry = entryOf(source);
    const isLocal = entry !== undefined && isOnLoopback(entry);
    return mayPing(endpoint, { networks: probe.networks, isLocal });
  };
  const { timeout: timeoutMs, path, concurrency } = probe;
  const leads = new Leads(
    {
      timeoutMs,
      path,
      concurrency,
      ...deps,
      prove({ source, service, key, endpoint }, verdict) {
        const { address, port, labels } = endpoint;
        const ports = [port, Number(labels[APP_PORT_LABEL] ?? port)];
        if (verdict.kind !== 'answeredAs') prove(aggregator, source, service, key, verdict);
        else quarantineImpostor(aggregator, { service, address, ports, answeredAs: verdict.service });
      },
    },
    signal,
  );
  return {
    follow({ node, cluster, address, port, answeredAs }) {
      if (!probe.enabled) return;
      const service = cluster.split(/[:@]/, 1)[0] ?? '';
      const targets = listedAt(aggregator, { service, address, ports: [port] }).map(
        ({ source, key, endpoint, shard: { group } }): LeadTarget => ({
          source,
          service,
          key,
          endpoint,
          protocol: group.ports.find(({ name }) => name === endpoint.portName)?.protocol ?? '',
          aliases: group.aliases,
          isReachable: isReachable(source, endpoint),
        }),
      );
      leads.follow({ node, answeredAs, targets });
    },
  };
}

interface ListedAt {
  readonly source: string;
  readonly key: string;
  readonly endpoint: Endpoint;
  readonly shard: Shard;
}

function listedAt({ current }: Proving, { service, address, ports }: Owner): readonly ListedAt[] {
  return [...(current.services.get(service)?.shards ?? [])].flatMap(([source, shard]) =>
    shard.group.endpoints
      .filter((endpoint) => endpoint.address === address && ports.includes(endpoint.port))
      .map((endpoint) => ({ source, key: endpointKey(endpoint), endpoint, shard })),
  );
}

function prove(aggregator: Proving, source: string, service: string, key: string, verdict: Verdict): void {
  aggregator.prove(source, service, key, verdict, { kind: 'prober', failing: 0 });
}
