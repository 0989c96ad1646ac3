// The two protocol variants behind one face, so that the stream's plan is written once.
import type { View } from '../view.ts';
import { readDeltaRequest, readSotwRequest } from '../wire/request.ts';
import type { DeltaRequest, SotwRequest } from '../wire/request.ts';
import type { ResponseWriter } from '../wire/response.ts';
import type { EncodedResource } from '../resource.ts';
import type { AnyType } from '../types.ts';
import { subscribeDelta, takeDelta } from './delta.ts';
import { subscribeSotw, takeSotw } from './sotw.ts';
import type { Allowance, Content, Subscription } from './subscription.ts';

/** A response without its nonce. */
export interface Outgoing {
  readonly version: string;
  readonly resources: readonly EncodedResource<AnyType>[];
  readonly removed: readonly string[];
}

export interface Protocol<R> {
  readonly name: 'delta' | 'sotw';
  /** Throws on bytes that are not a request. */
  read(bytes: Uint8Array): R;
  subscribe(sub: Subscription, request: R, first: boolean, view: View): void;
  take(sub: Subscription, view: View, may: Allowance): Content | undefined;
  write(writer: ResponseWriter, type: AnyType, nonce: string, content: Outgoing): Buffer;
}

export const deltaProtocol: Protocol<DeltaRequest> = {
  name: 'delta',
  read: readDeltaRequest,
  subscribe: subscribeDelta,
  take: takeDelta,
  write: (writer, type, nonce, content) => writer.delta(type, nonce, content.resources, content.removed),
};

export const sotwProtocol: Protocol<SotwRequest> = {
  name: 'sotw',
  read: readSotwRequest,
  subscribe: subscribeSotw,
  take: takeSotw,
  write: (writer, type, nonce, content) => writer.sotw(type, nonce, content.version, content.resources),
};

export type AnyRequest = DeltaRequest | SotwRequest;
