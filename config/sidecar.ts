// The resource Sidecar, as Istio has it, as far as it says what data planes are told of: egress hosts, for the
// workloads of a namespace or for those with some labels. What else Istio knows of it is refused by name.
import { z } from 'zod';
import { DEFAULT_NAMESPACE } from '../model/names.ts';
import { hostProblem, normalHost, scopeOf } from '../model/scope.ts';
import type { SidecarScope } from '../model/scope.ts';
import { metadata } from './metadata.ts';
import type { FieldPath } from './problems.ts';

export const sidecar = z.strictObject({
  apiVersion: z.enum([
    'networking.istio.io/v1',
    'networking.istio.io/v1beta1',
    'networking.istio.io/v1alpha3',
  ]),
  kind: z.literal('Sidecar'),
  metadata,
  spec: z.strictObject({
    /** Absent: every workload of the namespace. */
    workloadSelector: z
      .strictObject({
        labels: z
          .record(z.string().min(1), z.string())
          .refine((labels) => Object.keys(labels).length > 0, 'at least one label'),
      })
      .optional(),
    /** Several are one. */
    egress: z
      .array(z.strictObject({ hosts: z.array(z.string()).min(1, 'at least one host') }))
      .min(1, 'at least one'),
  }),
});

export type Sidecar = z.infer<typeof sidecar>;

export const namespaceOf = ({ metadata: { namespace } }: Sidecar): string => namespace ?? DEFAULT_NAMESPACE;

/** What it selects, in words that are the same for the same: `*.shop`, or `app=web,*.shop`. */
export function selectionOf(resource: Sidecar): string {
  const labels = Object.entries(resource.spec.workloadSelector?.labels ?? {}).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  return [...labels.map(([name, value]) => `${name}=${value}`), `*.${namespaceOf(resource)}`].join();
}

export function sidecarScope(resource: Sidecar): SidecarScope {
  const namespace = namespaceOf(resource);
  const hosts = resource.spec.egress.flatMap((egress) => egress.hosts);
  return {
    namespace,
    labels: resource.spec.workloadSelector?.labels ?? {},
    hosts: scopeOf(hosts.map((host) => normalHost(host, namespace))),
  };
}

/** Hosts that make no sense, and where. */
export const hostFaults = ({ spec }: Sidecar): readonly (readonly [FieldPath, string])[] =>
  spec.egress.flatMap(({ hosts }, i) =>
    hosts.flatMap((host, j): (readonly [FieldPath, string])[] => {
      const problem = host.includes('/')
        ? hostProblem(host)
        : 'NAMESPACE/NAME, such as ./*, shop/orders or */*';
      return problem === undefined ? [] : [[['spec', 'egress', i, 'hosts', j], `expected ${problem}`]];
    }),
  );
