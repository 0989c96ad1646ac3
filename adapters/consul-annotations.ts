// What users of consul-k8s write on their Kubernetes Services for its catalog sync, read as that sync reads it:
// https://developer.hashicorp.com/consul/docs/register/service/k8s/annotations
// Pure; a value that means nothing there means nothing here.
import type { Labels } from '../model/endpoint.ts';

/** All of them begin with it. */
export const CONSUL_ANNOTATIONS = 'consul.hashicorp.com/service-';
const META = 'meta-';

export interface ConsulSays {
  /** `service-sync`, unless it is false (also `0`, `no`, `off`). */
  readonly isSynced: boolean;
  /** `service-port`: name or number of a port, or ''. */
  readonly port: string;
  /** `service-weight`: a whole number from 1 up. */
  readonly weight: number | undefined;
  /** `service-tags` as the label `tags`, `service-meta-KEY` as the label KEY. */
  readonly labels: Labels;
}

export function consulSays(annotations: Readonly<Record<string, string>> = {}): ConsulSays {
  const said = (name: string) => annotations[`${CONSUL_ANNOTATIONS}${name}`]?.trim() ?? '';
  const tags = said('tags')
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');
  const meta = Object.entries(annotations).flatMap(([name, value]) => {
    const key = name.startsWith(CONSUL_ANNOTATIONS) ? name.slice(CONSUL_ANNOTATIONS.length) : '';
    return key.startsWith(META) && key.length > META.length ? [[key.slice(META.length), value] as const] : [];
  });
  const weight = /^\d{1,9}$/.test(said('weight')) ? Number(said('weight')) : 0;
  return {
    isSynced: !/^(0|f|false|no|off)$/i.test(said('sync')),
    port: said('port'),
    weight: weight > 0 ? weight : undefined,
    labels: { ...Object.fromEntries(meta), ...(tags.length === 0 ? {} : { tags: tags.sort().join(',') }) },
  };
}
