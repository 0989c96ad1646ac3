// What both listeners of the server say when they cannot have their address.
import { defineError } from '../lib/errors.ts';

export const LISTEN_FAILED = defineError(
  'ISTHMUS_LISTEN_FAILED',
  (what: string, address: string) => `cannot listen for ${what} on ${address}`,
  { hint: 'Is another process on that port? Choose another address in the config.' },
);
