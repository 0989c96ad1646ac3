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
  #callers = 0;

  /**
   * @param onCallers told how many of the users check endpoints, each time that changes.
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

  /** Each call is paired with one of `leave`. */
  join(key: GroupKey): { readonly view: View; readonly leave: () => void } {
    const { scope } = key;
    const scoped =
      key.dialect === 'envoy' && isHosts(scope)
        ? this.#scoped.join(scope.join(), () => new ScopedResources(this.#catalogue, scope))
        : undefined;
    const id = JSON.stringify(key);
    const view = this.#views.join(id, () =>
      viewOf(this.#catalogue, key, scoped?.shared, this.#samplePercent),
    );
    const checks = key.dialect === 'envoy' ? 1 : 0;
    this.#count(checks);
    let left = false;
    const leave = () => {
      if (left) return;
      left = true;
      this.#count(-checks);
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

  #count(more: number): void {
    if (more === 0) return;
    this.#callers += more;
    this.#onCallers(this.#callers);
  }

  /** Before anybody is told of these changes. */
  update(changes: Changes): void {
    for (const scoped of this.#scoped.all()) scoped.update(changes);
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
