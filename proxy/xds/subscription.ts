// What one stream has been told for one resource type: a pure state machine that turns "these names are
// wanted" into delta requests. Holds no resources and does no I/O; one per type and stream.
import type { DeltaDiscoveryRequest } from '../../proto/gen/types/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts';

export class Subscription {
  readonly #typeUrl: string;
  readonly #wildcard: boolean;
  #told: ReadonlySet<string> = new Set();
  #opened = false;

  /** @param wildcard everything that the server offers unasked; names come beside it. */
  constructor(typeUrl: string, wildcard: boolean) {
    this.#typeUrl = typeUrl;
    this.#wildcard = wildcard;
  }

  /**
   * The request that makes the server's view equal to `wanted`, or undefined when it is already. The first
   * one of a stream also lists what is held (`initial_resource_versions`); for a wildcard it has no names,
   * which is how a wildcard is asked for. A type with nothing to ask for is never mentioned, since an
   * empty first request could be taken for a wildcard.
   * @param wanted never changed by its owner: a new set says that names changed.
   * @param held versions by resource name.
   */
  update(wanted: ReadonlySet<string>, held: ReadonlyMap<string, string>): DeltaDiscoveryRequest | undefined {
    if (!this.#opened) return this.#open(wanted, held);
    if (wanted === this.#told) return undefined;
    const subscribe = [...wanted].filter((name) => !this.#told.has(name));
    const unsubscribe = [...this.#told].filter((name) => !wanted.has(name));
    this.#told = wanted;
    if (subscribe.length === 0 && unsubscribe.length === 0) return undefined;
    return {
      type_url: this.#typeUrl,
      resource_names_subscribe: subscribe,
      resource_names_unsubscribe: unsubscribe,
    };
  }

  #open(wanted: ReadonlySet<string>, held: ReadonlyMap<string, string>): DeltaDiscoveryRequest | undefined {
    if (!this.#wildcard && wanted.size === 0) return undefined;
    this.#opened = true;
    this.#told = wanted;
    // Names alone would not be a wildcard.
    const wildcard = this.#wildcard && wanted.size > 0 ? ['*'] : [];
    return {
      type_url: this.#typeUrl,
      resource_names_subscribe: [...wildcard, ...wanted],
      initial_resource_versions: Object.fromEntries(held),
    };
  }
}
