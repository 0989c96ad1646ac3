// What all resources have in common: the version, and who they are.
import { z } from 'zod';
import { DEFAULT_NAMESPACE, serviceName } from '../model/names.ts';

export const API_VERSION = 'isthmus.dev/v1alpha1';

const labels = z.record(z.string(), z.string());

export const metadata = z.strictObject({
  name: z.string().min(1),
  namespace: z.string().min(1).optional(),
  labels: labels.optional(),
  annotations: labels.optional(),
});

/** Canonical: a name without a namespace is in the resource's own, else in `default`. */
export function nameIn(service: string, { namespace }: { readonly namespace?: string | undefined }): string {
  if (service.includes('.')) return service.toLowerCase();
  return serviceName(service, namespace ?? DEFAULT_NAMESPACE);
}
