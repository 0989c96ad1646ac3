// What can go wrong with a Kubernetes API server, in words that say what to do. No message has a token.
import { defineError } from '../../lib/errors.ts';

export const KUBE_CONFIG = defineError('ISTHMUS_KUBE_CONFIG', (problem: string) => `kubeconfig: ${problem}`, {
  hint: 'Set `kubeconfig` and `context` of the source, or KUBECONFIG; in a pod, mount the service account.',
});
export const KUBE_UNREACHABLE = defineError(
  'ISTHMUS_KUBE_UNREACHABLE',
  (server: string) => `cannot reach the API server ${server}`,
  { hint: 'Check address, certificate authority and network; `kubectl get --raw /readyz` asks the same.' },
);
export const KUBE_UNAUTHORIZED = defineError(
  'ISTHMUS_KUBE_UNAUTHORIZED',
  (server: string, said: string) => `${server} does not accept the credentials (401): ${said}`,
  { hint: 'The token or client certificate is wrong or has expired.' },
);
export const KUBE_FORBIDDEN = defineError(
  'ISTHMUS_KUBE_FORBIDDEN',
  (verb: string, resource: string, scope: string, said: string) =>
    `not allowed to ${verb} ${resource} ${scope} (403); grant get, list and watch on it: ${said}`,
  { hint: 'docs/sources/kubernetes.md has the Role and the ClusterRole.' },
);
export const KUBE_STATUS = defineError(
  'ISTHMUS_KUBE_STATUS',
  (what: string, status: number, said: string) => `${what} was answered with ${status}: ${said}`,
);
export const KUBE_BUSY = defineError(
  'ISTHMUS_KUBE_BUSY',
  (what: string, tries: number, said: string) =>
    `${what} was put off ${tries} times (429 Too Many Requests): ${said}`,
  { hint: 'The API server is overloaded, or its flow control gives the user of this source too little.' },
);
export const KUBE_ANSWER = defineError(
  'ISTHMUS_KUBE_ANSWER',
  (what: string, problem: string) => `${what} was answered with something else: ${problem}`,
  { hint: 'Is a proxy or a login page in front of the API server?' },
);
export const KUBE_ABSENT = defineError(
  'ISTHMUS_KUBE_ABSENT',
  (what: string, said: string) => `${what}: there is no such thing (404): ${said}`,
  { hint: 'Is it the API server of a Kubernetes of 1.21 or newer?' },
);
/** 410: the version or the page asked for is no longer kept. Ends a watch, never a source. */
export const KUBE_EXPIRED = defineError(
  'ISTHMUS_KUBE_EXPIRED',
  (what: string, said: string) => `${what} starts too far in the past (410): ${said}`,
);

export function isForbidden(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === KUBE_FORBIDDEN.code;
}

export function isBusy(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === KUBE_BUSY.code;
}

/** The cluster has no resource of that kind. */
export function isAbsent(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === KUBE_ABSENT.code;
}
