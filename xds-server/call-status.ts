// What an error says to the client whose call it ends.
import { status } from '@grpc/grpc-js';
import { IsthmusError, toError } from '../lib/errors.ts';

/** A status text travels in the trailers, which have little room. */
const MAX_DETAILS_LENGTH = 512;

export interface CallStatus {
  readonly code: status;
  readonly details: string;
}

/** Of errors that are not about what the request says. */
const CODES: Readonly<Record<string, status>> = {
  ISTHMUS_XDS_CERTIFICATE: status.UNAUTHENTICATED,
  ISTHMUS_XDS_HEALTH_UNKNOWN: status.NOT_FOUND,
  ISTHMUS_XDS_NOT_ALLOWED: status.PERMISSION_DENIED,
};

/** Our own errors are about the client's request; of any other the client is told nothing. */
export function statusOf(thrown: unknown): CallStatus {
  const error = toError(thrown);
  if (!(error instanceof IsthmusError)) return { code: status.INTERNAL, details: 'internal error' };
  const code = CODES[error.code] ?? status.INVALID_ARGUMENT;
  return callStatus(code, `${error.code}: ${error.message}`);
}

export const callStatus = (code: status, details: string): CallStatus => ({
  code,
  details: details.slice(0, MAX_DETAILS_LENGTH),
});
