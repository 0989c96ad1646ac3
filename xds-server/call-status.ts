// What an error says to the client whose call it ends.
import { status } from '@grpc/grpc-js';
import { IsthmusError, toError } from '../lib/errors.ts';

/** A status text travels in the trailers, which have little room. */
const MAX_DETAILS_LENGTH = 512;

export interface CallStatus {
  readonly code: status;
  readonly details: string;
}

/** Errors about something that is not there. */
const NOT_FOUND: readonly string[] = ['ISTHMUS_XDS_HEALTH_UNKNOWN'];

/** Our own errors are about the client's request; of any other the client is told nothing. */
export function statusOf(thrown: unknown): CallStatus {
  const error = toError(thrown);
  if (!(error instanceof IsthmusError)) return { code: status.INTERNAL, details: 'internal error' };
  const code = NOT_FOUND.includes(error.code) ? status.NOT_FOUND : status.INVALID_ARGUMENT;
  return callStatus(code, `${error.code}: ${error.message}`);
}

export const callStatus = (code: status, details: string): CallStatus => ({
  code,
  details: details.slice(0, MAX_DETAILS_LENGTH),
});
