// Consul's checks as health and weight: the status table of README.md. Pure.
import type { Health } from '../../model/endpoint.ts';

/** An instance's own state: the worst of its checks. `maintenance` outranks all, as it is somebody's will. */
export type ConsulStatus = 'passing' | 'warning' | 'critical' | 'maintenance';

export interface ConsulCheck {
  readonly CheckID: string;
  readonly Status: string;
}

export interface ConsulWeights {
  readonly Passing: number;
  readonly Warning: number;
}

const NODE_MAINTENANCE = '_node_maintenance';
const SERVICE_MAINTENANCE = '_service_maintenance';

/** Node checks and service checks alike. Without checks: passing, as in Consul's own DNS. */
export function statusOf(checks: readonly ConsulCheck[]): ConsulStatus {
  const has = (test: (check: ConsulCheck) => boolean) => checks.some(test);
  if (has(isMaintenance)) return 'maintenance';
  if (has(({ Status }) => Status === 'critical')) return 'critical';
  return has(({ Status }) => Status === 'warning') ? 'warning' : 'passing';
}

function isMaintenance({ CheckID }: ConsulCheck): boolean {
  return (
    CheckID === NODE_MAINTENANCE ||
    CheckID === SERVICE_MAINTENANCE ||
    CheckID.startsWith(`${SERVICE_MAINTENANCE}:`)
  );
}

/** A critical or maintained instance keeps its Passing weight, so that its return changes one attribute. */
export function verdictOf(
  status: ConsulStatus,
  weights: ConsulWeights,
): { readonly health: Health; readonly weight: number } {
  switch (status) {
    case 'passing':
      return { health: 'healthy', weight: weights.Passing };
    case 'warning':
      return { health: 'healthy', weight: weights.Warning };
    case 'critical':
      return { health: 'unhealthy', weight: weights.Passing };
    case 'maintenance':
      return { health: 'draining', weight: weights.Passing };
  }
}
