// The views that connected nodes need, one per group, kept while a stream uses it; and who is told of what: groups
// with the same scope share what is made for it.
import type { Scope } from '../model/scope.ts';
import { withHosts } from '../model/scope.ts';
import type { ChangeSet, Changes } from './dialect.ts';
import type { ClientNode } from './node.ts';
import type { Catalogue } from './resources/catalogue.ts';
import { ScopedResources } from './scoped.ts';
import { isHosts, viewOf } from './view.ts';
import type { GroupKey, View } from './view.ts';

/** What is decided for a node that does not say itself what it calls. */
export type ScopeRules = (node: Pick<ClientNode, 'service' | 'labels'>) => Scope;

export class Groups {
  readonly #catalogue: Catalogue;
  readonly #views: Shares<View>;
  readonly #scoped: Shares<ScopedResources>;
  /** Default: everybody is told of everything. */
  scopeRules: ScopeRules = () => 'all';

  readonly #onCallers: (callers: number) => void;
  readonly #samplePercent: number;
  /** Streams by node, of those that check endpoints. */
  readonly #callers = new Map<string, number>();

  /**
   * @param onCallers told how many nodes check endpoints, each time that changes.
   * @param samplePercent of their requests that nodes which can are to log.
   */
  constructor(
    catalogue: Catalogue,
    onCallers: (callers: number) => void = () => undefined,
    samplePercent = 0,
  ) {
    this.#catalogue = catalogue;
    this.#onCallers = onCallers;
    this.#samplePercent = samplePercent;
    this.#views = new Shares();
    this.#scoped = new Shares();
  }

  /** How many different views are in use. */
  get size(): number {
    return this.#views.size;
  }

  /** What a node belongs to, by what it says and what is decided for it. What it says counts more. */
  keyOf(node: ClientNode, rules: ScopeRules = this.scopeRules): GroupKey {
    const { group } = node;
    const scope = node.scope ?? rules(node);
    if (scope === 'all') return group;
    if (group.dialect === 'grpc') return isHosts(scope) ? { ...group, scope } : group;
    // Who has a listener for a service calls it.
    const listened = group.upstreams.map(({ cluster }) => `*/${cluster.replace(/[:@].*$/s, '')}`);
    return { ...group, scope: withHosts(scope, listened) };
  }

  /**
   * Each call is paired with one of `leave`.
   * @param caller node.id of a data plane: it counts once, however many streams it has. Undefined for who only
   *   looks, such as a stream of load reports.
   */
  join(key: GroupKey, caller?: string): { readonly view: View; readonly leave: () => void } {
    const { scope } = key;
    const scoped =
      key.dialect === 'envoy' && isHosts(scope)
        ? this.#scoped.join(scope.join(), () => new ScopedResources(this.#catalogue, scope))
        : undefined;
    const id = JSON.stringify(key);
    const view = this.#views.join(id, () =>
      viewOf(this.#catalogue, key, scoped?.shared, this.#samplePercent),
    );
    const uncount = key.dialect === 'envoy' && caller !== undefined ? this.#count(caller) : undefined;
    let left = false;
    const leave = () => {
      if (left) return;
      left = true;
      uncount?.();
      view.leave();
      scoped?.leave();
    };
    return { view: view.shared, leave };
  }

  /** Views as they would be, for a look and no more: they follow no change and count nowhere. */
  glimpse(): (key: GroupKey) => View {
    const scoped = new Map<string, ScopedResources>();
    const views = new Map<string, View>();
    return (key) => {
      const { dialect, scope } = key;
      const hosts = dialect === 'envoy' && isHosts(scope) ? scope : undefined;
      const part = hosts && (scoped.get(hosts.join()) ?? new ScopedResources(this.#catalogue, hosts));
      if (hosts && part) scoped.set(hosts.join(), part);
      const id = JSON.stringify(key);
      const view = views.get(id) ?? viewOf(this.#catalogue, key, part, this.#samplePercent);
      views.set(id, view);
      return view;
    };
  }

  #count(node: string): () => void {
    const change = (by: number) => {
      const before = this.#callers.get(node) ?? 0;
      if (before + by > 0) this.#callers.set(node, before + by);
      else this.#callers.delete(node);
      if (before === 0 || before + by === 0) this.#onCallers(this.#callers.size);
    };
    change(1);
    return () => change(-1);
  }

  /** Before anybody is told of these changes. */
  update(changes: Changes): void {
    for (const scoped of this.#scoped.all()) scoped.update(changes);
    if (changes.beside.size > 0) for (const view of this.#views.all()) view.update(changes);
  }

  /** What the groups in use see of them; most see the same. */
  changesOf(changes: Changes): ReadonlySet<ChangeSet> {
    const seen = new Set<ChangeSet>();
    for (const view of this.#views.all()) seen.add(view.changed(changes));
    return seen;
  }
}

/** Things that are made once and kept while somebody uses them. */
class Shares<T> {
  readonly #entries = new Map<string, { readonly shared: T; users: number }>();

  get size(): number {
    return this.#entries.size;
  }

  *all(): Generator<T> {
    for (const { shared } of this.#entries.values()) yield shared;
  }

  /** Each call is paired with one of `leave`, which is called once. */
  join(id: string, make: () => T): { readonly shared: T; readonly leave: () => void } {
    const entry = this.#entries.get(id) ?? { shared: make(), users: 0 };
    entry.users += 1;
    this.#entries.set(id, entry);
    const leave = () => {
      entry.users -= 1;
      if (entry.users === 0) this.#entries.delete(id);
    };
    return { shared: entry.shared, leave };
  }
}
