// What can go wrong with a table that replicas share, and with the file in which it outlives the process.
import { defineError } from '../../lib/errors.ts';

export const TABLE_BAD = defineError(
  'ISTHMUS_TABLE_BAD',
  (file: string, fault: string) => `${file} is not used: ${fault}`,
  { hint: 'It was renamed and is kept for you to look at. Set again what is still wanted.' },
);

export const TABLE_WRITE = defineError(
  'ISTHMUS_TABLE_WRITE',
  (file: string) => `what was set cannot be written to ${file}`,
  { hint: 'It is in force, but a restart would not know it. Look at disk space and rights.' },
);

export const REVISION_CONFLICT = defineError(
  'ISTHMUS_REVISION_CONFLICT',
  (what: string, now: string) => `${what} was changed meanwhile: ${now}`,
  { hint: 'Read it again, see whether the change is still wanted, and send it with the new revision.' },
);

export const TABLE_ALONE = defineError(
  'ISTHMUS_TABLE_ALONE',
  (table: string) => `NATS does not answer, and ${table} are changed only when all replicas can know it`,
  { hint: 'What is in force stays in force. Try again when NATS is back.' },
);
