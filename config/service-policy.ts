// The resource ServicePolicy: how one service's sources are merged. Its shape only; files are read in
// resources.ts.
import { z } from 'zod';
import { DEFAULT_NAMESPACE, serviceName } from '../model/names.ts';
import { ruleFields } from './policy.ts';
import { trafficFields } from './traffic.ts';

export const API_VERSION = 'isthmus.dev/v1alpha1';

const labels = z.record(z.string(), z.string());

export const servicePolicy = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('ServicePolicy'),
  metadata: z.strictObject({
    name: z.string().min(1),
    namespace: z.string().min(1).optional(),
    labels: labels.optional(),
    annotations: labels.optional(),
  }),
  spec: z.strictObject({
    /** With its namespace after the last dot, or without: the resource's namespace then, else `default`. */
    service: z.string().min(1),
    ...ruleFields,
    ...trafficFields,
  }),
});

export type ServicePolicy = z.infer<typeof servicePolicy>;

export function serviceOf({ metadata, spec }: ServicePolicy): string {
  if (spec.service.includes('.')) return spec.service.toLowerCase();
  return serviceName(spec.service, metadata.namespace ?? DEFAULT_NAMESPACE);
}
