// What a sidecar is asked to check of the app beside it: one more cluster of its specifier, so that an Envoy and the
// bundled proxy do it alike, and the control plane can say how.
import { appCheckOf } from '../../model/sidecars.ts';
import type { AppCheck, Registration } from '../../model/sidecars.ts';
import type { HealthCheck } from '../../proto/gen/types/envoy/config/core/v3/HealthCheck.ts';
import type { ClusterHealthCheck } from '../../proto/gen/types/envoy/service/health/v3/ClusterHealthCheck.ts';
import type { Beside } from '../node.ts';
import { duration } from '../resources/policy.ts';

/** Begins the name of its cluster. */
export const APP = 'app:';

/** None or one. The app is on the sidecar's loopback. */
export function appCheck({ registration: beside }: Beside): readonly ClusterHealthCheck[] {
  const check = appCheckOf(beside);
  if (check.how === 'off') return [];
  const address = { socket_address: { address: '127.0.0.1', port_value: beside.appPort } };
  return [
    {
      cluster_name: `${APP}${beside.service}`,
      health_checks: [{ ...timesOf(check), ...questionOf(check.how, beside) }],
      locality_endpoints: [{ endpoints: [{ address }] }],
    },
  ];
}

const timesOf = ({ intervalMs, timeoutMs, rise, fall }: AppCheck): HealthCheck => ({
  timeout: duration(Math.min(timeoutMs, intervalMs)),
  interval: duration(intervalMs),
  no_traffic_interval: duration(intervalMs),
  unhealthy_threshold: { value: fall },
  healthy_threshold: { value: rise },
  reuse_connection: { value: false },
});

function questionOf(
  how: Exclude<AppCheck['how'], 'off'>,
  { service, healthPath }: Registration,
): HealthCheck {
  switch (how) {
    case 'tcp':
      return { tcp_health_check: {} };
    case 'grpc':
      return { grpc_health_check: {} };
    case 'http':
      return {
        http_health_check: {
          host: service,
          path: healthPath,
          expected_statuses: [{ start: 200, end: 400 }],
          // A bad answer counts as one of several, as silence does.
          retriable_statuses: [{ start: 100, end: 600 }],
        },
      };
  }
}
