// Kubernetes manifests: the Services and EndpointSlices among them, as endpoint groups. Pure: text in,
// groups out. Kinds that are not ours are passed over; a Service or slice that cannot be right is an error.
import { z } from 'zod';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { canonicalAddress } from '../address.ts';
import { SERVICE_NAME_LABEL, groupsFromKubernetes } from '../kube-map.ts';
import type { KubeEndpointSlice, KubeMapOptions, KubeService } from '../kube-map.ts';
import type { SourceText } from './file-sd.ts';
import { checkShape, parseDocuments } from './text.ts';
import type { FileDocument, ValuePath } from './text.ts';

const portNumber = z.int().min(1).max(65_535);
const texts = z.record(z.string(), z.string());
const metadata = z.object({
  name: z.string().min(1).optional(),
  namespace: z.string().min(1).optional(),
  labels: texts.nullish().transform((value) => value ?? {}),
  annotations: texts.nullish().transform((value) => value ?? {}),
});
const port = z.object({
  name: z.string().nullish(),
  port: portNumber.nullish(),
  protocol: z.string().nullish(),
  appProtocol: z.string().nullish(),
});
const service = z.object({
  metadata: metadata.extend({ name: z.string().min(1) }),
  spec: z
    .object({
      type: z.string().optional(),
      externalName: z.string().optional(),
      ports: z.array(port).nullish(),
    })
    .optional(),
});
const condition = z.boolean().nullish();
const endpointSlice = z
  .object({
    metadata: metadata.extend({
      labels: z.looseObject({ [SERVICE_NAME_LABEL]: z.string().min(1) }).catchall(z.string()),
    }),
    addressType: z.enum(['IPv4', 'IPv6', 'FQDN']).optional(),
    ports: z.array(port).nullish(),
    endpoints: z
      .array(
        z.object({
          addresses: z.array(z.string()).min(1),
          conditions: z.object({ ready: condition, serving: condition, terminating: condition }).nullish(),
          zone: z.string().nullish(),
          targetRef: z.object({ kind: z.string().optional(), name: z.string().optional() }).nullish(),
        }),
      )
      .nullish(),
  })
  .superRefine((slice, context) => {
    if (slice.addressType === 'FQDN') return;
    for (const [index, endpoint] of (slice.endpoints ?? []).entries()) {
      const wrong = endpoint.addresses.findIndex((address) => canonicalAddress(address) === undefined);
      if (wrong < 0) continue;
      const path = ['endpoints', index, 'addresses', wrong];
      context.addIssue({
        code: 'custom',
        path,
        message: `"${endpoint.addresses[wrong]}" is not an IP address`,
      });
    }
  });
const typed = z.looseObject({ kind: z.string(), apiVersion: z.string().optional() });

/**
 * All files of a source together, as `kubectl apply` would see them.
 * @throws ISTHMUS_FILE_INVALID with file, line and column; then nothing of any file is used.
 */
export function groupsFromManifests(files: readonly SourceText[], options: KubeMapOptions): EndpointGroup[] {
  const services: KubeService[] = [];
  const slices: KubeEndpointSlice[] = [];
  for (const { file, text } of files) {
    for (const document of parseDocuments(text, file)) {
      if (document.data === null) continue;
      for (const object of objectsIn(document)) {
        if (object.type === 'Service') services.push(checkShape(service, document, object));
        else if (object.type === 'EndpointSlice') slices.push(checkShape(endpointSlice, document, object));
      }
    }
  }
  return groupsFromKubernetes(services, slices, options);
}

interface KubeObject {
  /** 'Service' | 'EndpointSlice' for Kubernetes' own kinds of that name, else ''. */
  readonly type: string;
  readonly data: unknown;
  readonly at: ValuePath;
}

function objectsIn(document: FileDocument): KubeObject[] {
  const top = checkShape(typed, document);
  const items = top['items'];
  if (!top.kind.endsWith('List') || !Array.isArray(items)) {
    return [{ type: typeOf(top.kind, top.apiVersion), data: top, at: [] }];
  }
  return items.map((item: unknown, index) => {
    // Items of a typed list (ServiceList) say no kind of their own.
    const own = typed.partial().safeParse(item).data;
    const kind = own?.kind ?? top.kind.slice(0, -'List'.length);
    return { type: typeOf(kind, own?.apiVersion ?? top.apiVersion), data: item, at: ['items', index] };
  });
}

/** Other groups have kinds called Service too (Knative): the API group decides. */
function typeOf(kind: string, apiVersion = ''): string {
  const group = apiVersion.includes('/') ? apiVersion.split('/', 1)[0] : '';
  if (kind === 'Service' && group === '') return kind;
  return kind === 'EndpointSlice' && (group === 'discovery.k8s.io' || apiVersion === '') ? kind : '';
}
