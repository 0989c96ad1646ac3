// What the admin API refuses, with stable codes.
import { defineError } from '../lib/errors.ts';

export const ADMIN_NOT_FOUND = defineError(
  'ISTHMUS_ADMIN_NOT_FOUND',
  (what: string) => `there is no ${what}`,
);

export const ADMIN_METHOD = defineError(
  'ISTHMUS_ADMIN_METHOD',
  (method: string) => `${method} is not allowed here`,
  { hint: 'Pages are read with GET and HEAD; overrides and resources are written, with PUT and DELETE.' },
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

export const ADMIN_WINDOW = defineError(
  'ISTHMUS_ADMIN_WINDOW',
  () => 'window takes a duration such as 30s, at most 10m',
);

export const ADMIN_SIDES = defineError(
  'ISTHMUS_ADMIN_SIDES',
  () => 'from and to take the names of two different sources',
  { hint: '`isthmus get sources` lists them.' },
);

export const ADMIN_AFTER = defineError(
  'ISTHMUS_ADMIN_AFTER',
  () => 'after takes a duration such as 7d, at most 400d',
);

export const RETIRE_REFUSED = defineError(
  'ISTHMUS_RETIRE_REFUSED',
  (service: string, why: string) => `the old side of ${service} must stay: ${why}`,
  { hint: '`isthmus migrate retire SERVICE` says who is still there.' },
);

export const ADMIN_TOKEN_MISSING = defineError('ISTHMUS_ADMIN_TOKEN_MISSING', () => 'changes want a token', {
  hint: 'Send `Authorization: Bearer TOKEN` with what is in the file admin-token of the dataDir (or admin.tokenFile). The command takes it from --token-file, ISTHMUS_TOKEN, or ./isthmus-data/admin-token.',
});

export const ADMIN_TOKEN_WRONG = defineError(
  'ISTHMUS_ADMIN_TOKEN_WRONG',
  () => 'the token is not that of this server',
  { hint: 'It is in the file admin-token of its dataDir, or in admin.tokenFile.' },
);

export const ADMIN_TOKEN_FILE = defineError(
  'ISTHMUS_ADMIN_TOKEN_FILE',
  (file: string, why: string) => `the token in ${file} cannot be used: ${why}`,
  { hint: 'Put a token of 16 characters or more there, readable for the user that runs Isthmus.' },
);

export const ADMIN_WRITES_OFF = defineError(
  'ISTHMUS_ADMIN_WRITES_OFF',
  () => 'this server takes no changes: it has no token',
  { hint: 'Configure dataDir, in which one is made, or admin.tokenFile.' },
);

export const ADMIN_CONTENT_TYPE = defineError(
  'ISTHMUS_ADMIN_CONTENT_TYPE',
  (type: string) => `changes are taken as application/json, not as "${type}"`,
);

export const ADMIN_BODY = defineError('ISTHMUS_ADMIN_BODY', (problems: string) => problems);

export const ADMIN_TAKEN_BACK = defineError(
  'ISTHMUS_ADMIN_TAKEN_BACK',
  () => 'another replica took it back in the same instant',
  { hint: 'Look at what is set now, and set it again if it is still wanted.' },
);

export const ADMIN_BODY_SIZE = defineError(
  'ISTHMUS_ADMIN_BODY_SIZE',
  (max: number) => `the body is larger than ${max} bytes`,
);
