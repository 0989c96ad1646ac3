// What the admin API refuses, with stable codes.
import { defineError } from '../lib/errors.ts';

export const ADMIN_NOT_FOUND = defineError(
  'ISTHMUS_ADMIN_NOT_FOUND',
  (what: string) => `there is no ${what}`,
);

export const ADMIN_METHOD = defineError(
  'ISTHMUS_ADMIN_METHOD',
  (method: string) => `${method} is not allowed here`,
  { hint: 'The admin API is read-only: GET and HEAD.' },
);

export const ADMIN_HOST = defineError(
  'ISTHMUS_ADMIN_HOST',
  (host: string) => `the Host header "${host}" does not name this server`,
  { hint: 'Ask by IP address, as localhost, or by the host in admin.listen.' },
);

export const ADMIN_ORIGIN = defineError(
  'ISTHMUS_ADMIN_ORIGIN',
  (origin: string) => `pages of "${origin}" may not ask this server`,
);

export const ADMIN_INTERNAL = defineError(
  'ISTHMUS_ADMIN_INTERNAL',
  () => 'the answer could not be made; the log says why',
);

export const ADMIN_LISTEN = defineError(
  'ISTHMUS_ADMIN_LISTEN',
  (address: string, why: string) => `the admin API cannot listen on ${address}: ${why}`,
  { hint: 'Another isthmus? Choose another address with admin.listen, --admin or ISTHMUS_ADMIN_LISTEN.' },
);

export const ADMIN_NO_JOURNAL = defineError(
  'ISTHMUS_ADMIN_NO_JOURNAL',
  () => 'no journal is kept, so nothing is known of the past',
  { hint: 'Set dataDir in the config to a folder that can be written.' },
);

export const ADMIN_TIME = defineError(
  'ISTHMUS_ADMIN_TIME',
  () => 'since and at take a time such as 2026-01-02T03:04:05Z',
);
