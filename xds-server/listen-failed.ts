// What both listeners of the server say when they cannot have their address.
import { defineError, toError } from '../lib/errors.ts';

export const LISTEN_FAILED = defineError(
  'ISTHMUS_LISTEN_FAILED',
  (what: string, address: string) => `cannot listen for ${what} on ${address}`,
  { hint: 'Is another process on that port? Choose another address in the config.' },
);

/** grpc's error about an address is a list of errors inside a sentence: what the system said is in its brackets. */
export function asSystemSaid(thrown: unknown): Error {
  const error = toError(thrown);
  const said = /errors: \[(.+)\]$/.exec(error.message)?.[1];
  return said === undefined ? error : new Error(said);
}
