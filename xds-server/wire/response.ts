// Puts responses together from encoded pieces; a resource's bytes are never encoded again per client.
import { PUSH_ORDER, TYPE_URL } from '../types.ts';
import type { ResourceType } from '../types.ts';
import type { EncodedResource } from '../resource.ts';
import { messageField, textField } from './writer.ts';

/** One per server; keeps the pieces that are equal in every response. */
export class ResponseWriter {
  readonly #typeUrl: ReadonlyMap<ResourceType, Buffer>;
  readonly #deltaIdentifier: Buffer;
  readonly #sotwIdentifier: Buffer;

  /** @param identifier control_plane.identifier, which Envoy shows as a stat. */
  constructor(identifier: string) {
    this.#typeUrl = new Map(PUSH_ORDER.map((type) => [type, textField(4, TYPE_URL[type])]));
    this.#deltaIdentifier = messageField(7, [textField(1, identifier)]);
    this.#sotwIdentifier = messageField(6, [textField(1, identifier)]);
  }

  /** DeltaDiscoveryResponse: resources 2, type_url 4, nonce 5, removed_resources 6, control_plane 7. */
  delta(
    type: ResourceType,
    nonce: string,
    resources: readonly EncodedResource[],
    removed: readonly string[],
  ): Buffer {
    return Buffer.concat([
      ...resources.map((r) => r.delta),
      ...this.#typeUrlOf(type),
      textField(5, nonce),
      ...removed.map((name) => textField(6, name)),
      this.#deltaIdentifier,
    ]);
  }

  /** DiscoveryResponse: version_info 1, resources 2, type_url 4, nonce 5, control_plane 6. */
  sotw(type: ResourceType, nonce: string, version: string, resources: readonly EncodedResource[]): Buffer {
    return Buffer.concat([
      textField(1, version),
      ...resources.map((r) => r.sotw),
      ...this.#typeUrlOf(type),
      textField(5, nonce),
      this.#sotwIdentifier,
    ]);
  }

  #typeUrlOf(type: ResourceType): Buffer[] {
    const bytes = this.#typeUrl.get(type);
    return bytes ? [bytes] : [];
  }
}
