// The parts of the outbound route configuration, one for each service, in the order of their names. A service that
// comes, changes or goes costs its own part: the whole is versioned by its parts, and put together when it is sent.
import { SortedChunks } from '../../lib/sorted-chunks.ts';
import { contentHash } from '../../lib/hash.ts';
import type { EncodedResource } from '../resource.ts';
import { SetVersion } from '../set-version.ts';
import type { ClusterAuthorities } from './authorities.ts';
import { buildOutboundRoutes, buildRouteFragment } from './routes.ts';
import type { RouteFragment } from './routes.ts';

interface Part extends RouteFragment {
  /** The service. */
  readonly key: string;
  readonly version: string;
}

export class RouteTable {
  readonly #parts = new SortedChunks<Part>();
  readonly #version = new SetVersion();

  /** What leads to the clusters of a service, by cluster; nothing: it is gone. False when that is as it was. */
  set(service: string, clusters: readonly ClusterAuthorities[]): boolean {
    const before = clusters.length === 0 ? this.#parts.delete(service) : undefined;
    if (clusters.length === 0) {
      if (before) this.#version.remove(before);
      return before !== undefined;
    }
    const fragment = buildRouteFragment(clusters);
    const part: Part = { key: service, version: contentHash(fragment.bytes), ...fragment };
    const old = this.#parts.set(part);
    if (old) this.#version.remove(old);
    this.#version.add(part);
    return old?.version !== part.version;
  }

  /** As the table is now; what is set later does not touch it. */
  resource(): EncodedResource {
    return buildOutboundRoutes(this.#parts.chunks(), this.#version);
  }
}
