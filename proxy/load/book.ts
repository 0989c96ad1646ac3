// The tallies of all clusters, by locality. A cluster that is removed and comes back goes on where it was, and
// what nobody counts into any more is forgotten once it was told.
import { LoadTally } from './tally.ts';
import type { TakenTally } from './tally.ts';

/** What is counted per cluster. */
export class ClusterLoad {
  /** Requests that the proxy itself refused to send, by its circuit breakers. */
  dropped = 0;
  /** States of the cluster that count here: more than one while an old one finishes. */
  users = 0;
  readonly localities = new Map<string, LoadTally>();

  of(locality: string): LoadTally {
    const known = this.localities.get(locality);
    if (known) return known;
    const tally = new LoadTally();
    this.localities.set(locality, tally);
    return tally;
  }
}

export interface TakenCluster {
  readonly cluster: string;
  readonly dropped: number;
  readonly localities: readonly (TakenTally & { readonly locality: string })[];
}

export class LoadBook {
  readonly #clusters = new Map<string, ClusterLoad>();

  of(cluster: string): ClusterLoad {
    const known = this.#clusters.get(cluster);
    if (known) return known;
    const load = new ClusterLoad();
    this.#clusters.set(cluster, load);
    return load;
  }

  /**
   * Everything since the last call, of the clusters that have something to tell.
   * @param isAsked what is not asked for is forgotten.
   */
  take(isAsked: (cluster: string) => boolean): readonly TakenCluster[] {
    const taken: TakenCluster[] = [];
    for (const [cluster, load] of this.#clusters) {
      const localities: (TakenTally & { locality: string })[] = [];
      for (const [locality, tally] of load.localities) {
        if (!tally.isQuiet) localities.push({ locality, ...tally.take() });
        if (tally.hosts === 0 && tally.active === 0) load.localities.delete(locality);
      }
      const { dropped } = load;
      load.dropped = 0;
      if (load.users === 0 && load.localities.size === 0) this.#clusters.delete(cluster);
      if ((dropped > 0 || localities.length > 0) && isAsked(cluster))
        taken.push({ cluster, dropped, localities });
    }
    return taken;
  }

  giveBack(taken: readonly TakenCluster[]): void {
    for (const { cluster, dropped, localities } of taken) {
      const load = this.of(cluster);
      load.dropped += dropped;
      for (const { locality, ...tally } of localities) load.of(locality).giveBack(tally);
    }
  }
}
