// What can go wrong with name servers, in words that say what to do.
import { defineError } from '../../lib/errors.ts';

export const DNS_ALL_GONE = defineError(
  'ISTHMUS_DNS_ALL_GONE',
  (servers: string, count: number) =>
    `${servers} suddenly knows nothing of any name (${count} of ${count} without an address)`,
  { hint: 'Is it the right name server, and has it loaded its zones? What was there before is kept.' },
);
