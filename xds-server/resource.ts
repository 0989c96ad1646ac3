// A resource, encoded once and shared by every stream that sees it.
import { contentHash } from '../lib/hash.ts';
import { TYPE_URL } from './types.ts';
import type { AnyType, ResourceType } from './types.ts';
import { backwards } from './wire/backward-writer.ts';
import type { BackwardWriter } from './wire/backward-writer.ts';
import { bytesOf, fieldOf, pieceOf, rope } from './wire/rope.ts';
import type { Piece } from './wire/rope.ts';
import { textField } from './wire/writer.ts';

export interface EncodedResource<T extends AnyType = ResourceType> {
  readonly type: T;
  readonly name: string;
  /** Hash of the bytes or of all their parts: equal content has equal versions on every replica, whenever. */
  readonly version: string;
  readonly bytes: Buffer;
  /** Ready-made `resources` entry (field 2) of a DeltaDiscoveryResponse. */
  readonly delta: Buffer;
  /** Ready-made `resources` entry (field 2) of a DiscoveryResponse. */
  readonly sotw: Buffer;
  /** Names of the next type that a client warms this resource with: EDS of a cluster, RDS of a listener. */
  readonly dependents: readonly string[];
  /** An assignment without endpoints. */
  readonly empty: boolean;
}

/** @param content the encoded message, or what writes it. */
export function encodedResource<T extends AnyType>(
  type: T,
  name: string,
  content: Buffer | ((to: BackwardWriter) => void),
  options: { readonly dependents?: readonly string[]; readonly empty?: boolean } = {},
): EncodedResource<T> {
  const to = backwards();
  // envoy.service.discovery.v3.Resource: version 1, resource 2 (an Any: type_url 1, value 2), name 3.
  to.text(3, name);
  const afterBytes = to.length;
  if (typeof content === 'function') content(to);
  else to.raw(content);
  const version = contentHash(to.since(afterBytes));
  const beforeBytes = to.length;
  to.close(2, afterBytes);
  to.text(1, TYPE_URL[type]);
  to.close(2, afterBytes);
  const beforeAny = to.length;
  to.text(1, version);
  to.close(2, 0);
  return new Whole(type, name, version, to.copy(), { afterBytes, beforeBytes, beforeAny }, options);
}

/** A resource of very many parts that is put together when somebody is to be sent it. */
export function composedResource(
  type: ResourceType,
  name: string,
  version: string,
  content: Piece,
): EncodedResource {
  return new Composed(type, name, version, content);
}

/** Distances from the end of `delta`. */
interface Cuts {
  readonly afterBytes: number;
  readonly beforeBytes: number;
  readonly beforeAny: number;
}

const NO_NAMES: readonly string[] = [];

/** One buffer: the other two are parts of it, since an Any is field 2 in both kinds of response. */
class Whole<T extends AnyType> implements EncodedResource<T> {
  readonly type: T;
  readonly name: string;
  readonly version: string;
  readonly delta: Buffer;
  readonly dependents: readonly string[];
  readonly empty: boolean;
  readonly #afterBytes: number;
  readonly #beforeBytes: number;
  readonly #beforeAny: number;

  constructor(
    type: T,
    name: string,
    version: string,
    delta: Buffer,
    { afterBytes, beforeBytes, beforeAny }: Cuts,
    { dependents, empty }: { readonly dependents?: readonly string[]; readonly empty?: boolean },
  ) {
    this.type = type;
    this.name = name;
    this.version = version;
    this.delta = delta;
    this.dependents = dependents ?? NO_NAMES;
    this.empty = empty ?? false;
    this.#afterBytes = afterBytes;
    this.#beforeBytes = beforeBytes;
    this.#beforeAny = beforeAny;
  }

  get bytes(): Buffer {
    return this.#part(this.#beforeBytes);
  }

  get sotw(): Buffer {
    return this.#part(this.#beforeAny);
  }

  #part(before: number): Buffer {
    const { length } = this.delta;
    return this.delta.subarray(length - before, length - this.#afterBytes);
  }
}

class Composed implements EncodedResource {
  readonly type: ResourceType;
  readonly name: string;
  readonly version: string;
  readonly dependents = NO_NAMES;
  readonly empty = false;
  #content: Piece;
  #whole: EncodedResource | undefined;

  constructor(type: ResourceType, name: string, version: string, content: Piece) {
    this.type = type;
    this.name = name;
    this.version = version;
    this.#content = content;
  }

  get bytes(): Buffer {
    return this.#get().bytes;
  }

  get delta(): Buffer {
    return this.#get().delta;
  }

  get sotw(): Buffer {
    return this.#get().sotw;
  }

  #get(): EncodedResource {
    this.#whole ??= this.#compose();
    return this.#whole;
  }

  #compose(): EncodedResource {
    const { type, name, version } = this;
    const any = fieldOf(2, rope([pieceOf(textField(1, TYPE_URL[type])), fieldOf(2, this.#content)]));
    const afterAny = pieceOf(textField(3, name));
    const delta = bytesOf(fieldOf(2, rope([pieceOf(textField(1, version)), any, afterAny])));
    const cuts = {
      afterBytes: afterAny.length,
      beforeBytes: afterAny.length + this.#content.length,
      beforeAny: afterAny.length + any.length,
    };
    // Its parts are not needed any more.
    this.#content = rope([]);
    return new Whole(type, name, version, delta, cuts, {});
  }
}
