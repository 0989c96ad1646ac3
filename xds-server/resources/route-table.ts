// The parts of the outbound route configuration, one for each service, in the order of their names. A service that
// comes, changes or goes costs its own part: the whole is versioned by its parts, and put together when it is sent.
import { SortedChunks } from '../../lib/sorted-chunks.ts';
import { contentHash } from '../../lib/hash.ts';
import type { TrafficRules } from '../../model/traffic.ts';
import type { EncodedResource } from '../resource.ts';
import { SetVersion } from '../set-version.ts';
import type { ClusterAuthorities } from './authorities.ts';
import { buildOutboundRoutes, buildRouteFragment } from './routes.ts';
import type { RouteFragment, RouteSizes } from './routes.ts';

export interface RoutePart extends RouteFragment {
  /** The service. */
  readonly key: string;
  readonly version: string;
}

export class RouteTable {
  readonly #parts = new SortedChunks<RoutePart>();
  readonly #version = new SetVersion();
  #sizes: RouteSizes = { hosts: 0, entries: 0 };

  /** What leads to the clusters of a service, by cluster; nothing: it is gone. False when that is as it was. */
  set(service: string, clusters: readonly ClusterAuthorities[], traffic: TrafficRules | undefined): boolean {
    return this.adopt(service, clusters.length === 0 ? undefined : partOf(service, clusters, traffic));
  }

  /** A part as another table has it; undefined: none. False when that is as it was. */
  adopt(service: string, part: RoutePart | undefined): boolean {
    const before = part ? this.#parts.set(part) : this.#parts.delete(service);
    if (before) {
      this.#version.remove(before);
      this.#sizes = sum(this.#sizes, before, -1);
    }
    if (part) {
      this.#version.add(part);
      this.#sizes = sum(this.#sizes, part, 1);
    }
    return before?.version !== part?.version;
  }

  part(service: string): RoutePart | undefined {
    return this.#parts.get(service);
  }

  /** As the table is now; what is set later does not touch it. */
  resource(): EncodedResource {
    return buildOutboundRoutes(this.#parts.chunks(), this.#sizes, this.#version);
  }
}

function partOf(
  service: string,
  clusters: readonly ClusterAuthorities[],
  traffic: TrafficRules | undefined,
): RoutePart {
  const fragment = buildRouteFragment(clusters, service, traffic);
  return { key: service, version: contentHash(fragment.bytes), ...fragment };
}

const sum = (sizes: RouteSizes, { bytes, entriesAt }: RouteFragment, times: number): RouteSizes => ({
  hosts: sizes.hosts + times * entriesAt,
  entries: sizes.entries + times * (bytes.length - entriesAt),
});
