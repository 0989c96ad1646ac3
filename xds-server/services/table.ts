// Every gRPC service that the server offers: its name, and which part of the server takes its calls. Discovery is one
// part behind many names; each of the others is a SideService.
import type { Server } from '@grpc/grpc-js';
import type { Connections } from '../connections.ts';
import { clientStatus } from '../csds/service.ts';
import type { CallerOf } from '../security/caller.ts';
import { addDiscovery } from './discovery.ts';
import { DISCOVERY_SERVICES } from './paths.ts';
import { REFLECTION_SERVICES, reflection } from './reflection.ts';
import { addService } from './side-calls.ts';
import type { SideCalls, SideService } from './side-calls.ts';

/** What takes calls. */
export interface ServiceParts {
  /** Streams of discovery. */
  readonly connections: Connections;
  /** Calls of all other services. */
  readonly calls: SideCalls;
  readonly loadReports: SideService;
  readonly accessLog: SideService;
  readonly checks: SideService;
  readonly health: SideService;
}

interface Row {
  /** Full name. */
  readonly service: string;
  readonly takenBy: (parts: ServiceParts) => SideService;
}

const BESIDE: readonly Row[] = [
  {
    service: 'envoy.service.load_stats.v3.LoadReportingService',
    takenBy: ({ loadReports }) => loadReports,
  },
  {
    service: 'envoy.service.accesslog.v3.AccessLogService',
    takenBy: ({ accessLog }) => accessLog,
  },
  {
    service: 'envoy.service.status.v3.ClientStatusDiscoveryService',
    takenBy: ({ connections }) => clientStatus(connections),
  },
  {
    service: 'envoy.service.health.v3.HealthDiscoveryService',
    takenBy: ({ checks }) => checks,
  },
  { service: 'grpc.health.v1.Health', takenBy: ({ health }) => health },
  ...REFLECTION_SERVICES.map(
    ({ service, version }): Row => ({ service, takenBy: () => reflection(version, SERVICES) }),
  ),
];

/** Full names of all. */
export const SERVICES: readonly string[] = [...DISCOVERY_SERVICES, ...BESIDE].map(({ service }) => service);

/** Puts them on a server. @param callerOf how it is known there who calls. */
export function addServices(server: Server, parts: ServiceParts, callerOf: CallerOf): void {
  addDiscovery(server, parts.connections, callerOf);
  for (const { service, takenBy } of BESIDE) {
    addService(server, parts.calls, service, takenBy(parts), callerOf);
  }
}
