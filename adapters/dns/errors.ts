// What can go wrong with name servers, in words that say what to do.
import { defineError } from '../../lib/errors.ts';

export const DNS_FAILED = defineError(
  'ISTHMUS_DNS_FAILED',
  (name: string, servers: string, said: string) => `${servers} cannot answer for ${name}: ${said}`,
  { hint: 'Check `servers` and the network; `dig NAME` asks the same.' },
);
export const DNS_ALL_GONE = defineError(
  'ISTHMUS_DNS_ALL_GONE',
  (servers: string, count: number) =>
    `${servers} suddenly knows nothing of any name (${count} of ${count} without an address)`,
  { hint: 'Is it the right name server, and has it loaded its zones? What was there before is kept.' },
);
