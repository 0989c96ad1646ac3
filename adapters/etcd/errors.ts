// What can go wrong with an etcd cluster, in words that say what to do. No message has a password.
import { defineError } from '../../lib/errors.ts';

export const ETCD_UNREACHABLE = defineError(
  'ISTHMUS_ETCD_UNREACHABLE',
  (endpoint: string, said: string) => `no connection to etcd at ${endpoint}: ${said}`,
  { hint: 'Check `endpoints`, `tls` and the network; `etcdctl endpoint status` asks the same.' },
);
export const ETCD_DENIED = defineError(
  'ISTHMUS_ETCD_DENIED',
  (endpoint: string, prefix: string, said: string) =>
    `etcd at ${endpoint} does not let us read ${prefix}: ${said}`,
  { hint: 'Check `auth`; the user needs a role with read on the prefix (etcdctl role grant-permission).' },
);
export const ETCD_ANSWER = defineError(
  'ISTHMUS_ETCD_ANSWER',
  (endpoint: string, what: string) => `etcd at ${endpoint}: ${what}`,
);
export const ETCD_LAYOUT = defineError(
  'ISTHMUS_ETCD_LAYOUT',
  (layout: string, prefix: string, key: string, why: string, expected: string) =>
    `no key under ${prefix} fits the layout ${layout}: ${key}: ${why}; expected ${expected}`,
  { hint: 'Set `prefix` and `layout` of the source to what was written there.' },
);
export const ETCD_TLS = defineError(
  'ISTHMUS_ETCD_TLS',
  (field: string, file: string, why: string) => `tls.${field}: cannot use ${file}: ${why}`,
  { hint: '`tls.ca`, `tls.cert` and `tls.key` are PEM files; paths are relative to the config file.' },
);
/** Ends a list or a watch, never a source: everything is listed anew. */
export const ETCD_COMPACTED = defineError(
  'ISTHMUS_ETCD_COMPACTED',
  (endpoint: string) => `etcd at ${endpoint} compacted its history while it was read`,
  { hint: 'Nothing, unless it repeats: then compact less often than a list takes.' },
);
