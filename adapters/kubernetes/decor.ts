// What Pods and Nodes add to endpoints: labels, service account, place. Only decoration: endpoints are
// complete without it, and when it may no longer be read, what was known is kept. So it lives as long as
// the source, not only as long as one try. Plain data; it neither asks nor tells anybody.
import { isDeepStrictEqual } from 'node:util';
import type { Locality } from '../../model/endpoint.ts';
import type { PodFacts } from '../kube-map.ts';
import type { KubeNode, KubePod } from './objects.ts';

export class KubeDecor {
  /** By pod key. Pods of one template share one object, so a pod costs little more than its key. */
  readonly #pods = new Map<string, PodFacts>();
  #shared = new Map<string, PodFacts>();
  /** Deleted, but some slice may still list them: until then they keep their labels. */
  readonly #leaving = new Set<string>();
  readonly #nodes = new Map<string, Locality>();
  #missing = new Set<string>();

  podOf(namespace: string, name: string): PodFacts | undefined {
    return this.#pods.get(podKey(namespace, name));
  }

  nodeOf(name: string): Locality | undefined {
    return this.#nodes.get(name);
  }

  get podCount(): number {
    return this.#pods.size;
  }

  /** Different facts that are kept. */
  get sharedCount(): number {
    return this.#shared.size;
  }

  /** All Pods of a namespace (`*`: of the cluster). Returns the keys of those whose facts are new. */
  replacePods(namespace: string, pods: readonly KubePod[]): string[] {
    const listed = new Set(pods.map((pod) => podKey(pod.namespace, pod.name)));
    for (const key of this.#pods.keys()) {
      if ((namespace === '*' || key.startsWith(`${namespace}/`)) && !listed.has(key)) this.#leaving.add(key);
    }
    return pods.flatMap((pod) => this.putPod(pod));
  }

  /** Its key when it is not as it was before, else nothing. */
  putPod({ namespace, name, ...facts }: KubePod): string[] {
    const key = podKey(namespace, name);
    this.#leaving.delete(key);
    const shared = this.#share(facts);
    if (this.#pods.get(key) === shared) return [];
    this.#pods.set(key, shared);
    return [key];
  }

  deletePod({ namespace, name }: Pick<KubePod, 'namespace' | 'name'>): void {
    const key = podKey(namespace, name);
    if (this.#pods.has(key)) this.#leaving.add(key);
  }

  /** Forgets deleted pods that nobody lists any more. */
  sweepPods(isListed: (key: string) => boolean): void {
    for (const key of this.#leaving) {
      if (isListed(key)) continue;
      this.#leaving.delete(key);
      this.#pods.delete(key);
    }
  }

  /**
   * Returns the names of the nodes that are not where they were. One that is missing is kept until the next
   * list: its pods are gone by then, and do not change places before.
   */
  replaceNodes(nodes: readonly KubeNode[]): string[] {
    const listed = new Set(nodes.map(({ name }) => name));
    const missing = [...this.#nodes.keys()].filter((name) => !listed.has(name));
    for (const name of missing) if (this.#missing.has(name)) this.#nodes.delete(name);
    this.#missing = new Set(missing);
    return nodes.flatMap((node) => this.putNode(node));
  }

  putNode({ name, locality }: KubeNode): string[] {
    if (isDeepStrictEqual(this.#nodes.get(name), locality)) return [];
    this.#nodes.set(name, locality);
    return [name];
  }

  #share(facts: PodFacts): PodFacts {
    // Pods come and go; what only former ones had is dropped now and then.
    if (this.#shared.size > 2 * this.#pods.size + 100)
      this.#shared = new Map([...this.#pods.values()].map(entry));
    const [text] = entry(facts);
    const known = this.#shared.get(text);
    if (known) return known;
    this.#shared.set(text, facts);
    return facts;
  }
}

/** The API sends labels in alphabetical order. */
const entry = (facts: PodFacts): [string, PodFacts] => [
  JSON.stringify([facts.serviceAccount, facts.locality, facts.labels]),
  facts,
];

export function podKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
