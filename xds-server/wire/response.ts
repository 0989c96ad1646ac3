// Puts responses together from encoded pieces; a resource's bytes are never encoded again per client.
import { ALL_TYPES, TYPE_URL } from '../types.ts';
import type { AnyType } from '../types.ts';
import type { EncodedResource } from '../resource.ts';
import { messageField, textField } from './writer.ts';

interface DeltaBody {
  readonly resources: readonly EncodedResource<AnyType>[];
  readonly removed: readonly string[];
  readonly bytes: Buffer;
}

/** One per server; keeps the pieces that are equal in every response. */
export class ResponseWriter {
  readonly #typeUrl: ReadonlyMap<AnyType, Buffer>;
  readonly #deltaIdentifier: Buffer;
  readonly #sotwIdentifier: Buffer;
  /** Per type, what the last incremental response said, without its nonce. */
  readonly #lastDelta = new Map<AnyType, DeltaBody>();

  /** @param identifier control_plane.identifier, which Envoy shows as a stat. */
  constructor(identifier: string) {
    this.#typeUrl = new Map(ALL_TYPES.map((type) => [type, textField(4, TYPE_URL[type])]));
    this.#deltaIdentifier = messageField(7, [textField(1, identifier)]);
    this.#sotwIdentifier = messageField(6, [textField(1, identifier)]);
  }

  /** DeltaDiscoveryResponse: resources 2, type_url 4, nonce 5, removed_resources 6, control_plane 7. */
  delta(
    type: AnyType,
    nonce: string,
    resources: readonly EncodedResource<AnyType>[],
    removed: readonly string[],
  ): Buffer {
    return withNonce(this.#deltaBody(type, resources, removed), nonce);
  }

  /** A change goes to one stream after the other with equal content: only the first one copies it together. */
  #deltaBody(
    type: AnyType,
    resources: readonly EncodedResource<AnyType>[],
    removed: readonly string[],
  ): Buffer {
    const last = this.#lastDelta.get(type);
    if (last && sameItems(last.resources, resources) && sameItems(last.removed, removed)) return last.bytes;
    const bytes = Buffer.concat([
      ...resources.map((r) => r.delta),
      ...this.#typeUrlOf(type),
      ...removed.map((name) => textField(6, name)),
      this.#deltaIdentifier,
    ]);
    this.#lastDelta.set(type, { resources, removed, bytes });
    return bytes;
  }

  /** DiscoveryResponse: version_info 1, resources 2, type_url 4, nonce 5, control_plane 6. */
  sotw(
    type: AnyType,
    nonce: string,
    version: string,
    resources: readonly EncodedResource<AnyType>[],
  ): Buffer {
    return Buffer.concat([
      textField(1, version),
      ...resources.map((r) => r.sotw),
      ...this.#typeUrlOf(type),
      textField(5, nonce),
      this.#sotwIdentifier,
    ]);
  }

  #typeUrlOf(type: AnyType): Buffer[] {
    const bytes = this.#typeUrl.get(type);
    return bytes ? [bytes] : [];
  }
}

/** Appends field 5, the nonce; protobuf takes fields in any order. A nonce is ours: ASCII, under 128 bytes. */
function withNonce(body: Buffer, nonce: string): Buffer {
  const out = Buffer.allocUnsafe(body.length + 2 + nonce.length);
  out.set(body);
  out[body.length] = (5 << 3) | 2;
  out[body.length + 1] = nonce.length;
  out.write(nonce, body.length + 2, 'latin1');
  return out;
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
