// What makes bytes a request of a stream, and which types a stream may be asked for. Rules T2 and T3.
import { defineError } from '../../lib/errors.ts';
import { TYPE_URL } from '../types.ts';
import type { AnyType } from '../types.ts';
import type { AnyRequest, Protocol } from './protocol.ts';

export const REQUEST_INVALID = defineError(
  'ISTHMUS_XDS_REQUEST_INVALID',
  (what: string) => `bad discovery request: ${what}`,
  { hint: 'The client speaks another protocol, or its messages are cut.' },
);

/** @throws ISTHMUS_XDS_REQUEST_INVALID */
export function readRequest<R extends AnyRequest>(protocol: Protocol<R>, bytes: Uint8Array): R {
  try {
    return protocol.read(bytes);
  } catch (cause) {
    throw REQUEST_INVALID.from(cause, 'it cannot be decoded');
  }
}

/**
 * Puts in the type where the service implies it.
 * @param only the type of every message; undefined on ADS. @throws ISTHMUS_XDS_REQUEST_INVALID
 */
export function settleType(request: AnyRequest, only: AnyType | undefined): void {
  if (only === undefined) {
    if (request.typeUrl === '') throw REQUEST_INVALID('type_url is empty'); // T2
    return;
  }
  request.typeUrl ||= TYPE_URL[only]; // T2: implied
  if (request.typeUrl !== TYPE_URL[only]) {
    throw REQUEST_INVALID(`a service for ${TYPE_URL[only]} was asked for ${request.typeUrl.slice(0, 200)}`); // T3
  }
}
