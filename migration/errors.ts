// What an operator may be told.
import { defineError } from '../lib/errors.ts';

export const MIGRATION_NOT_FOUND = defineError(
  'ISTHMUS_MIGRATION_NOT_FOUND',
  (service: string) => `there is no migration of ${service}`,
  { hint: 'Begin one with `isthmus migrate start`, or apply a Migration resource.' },
);

export const MIGRATION_REFUSED = defineError(
  'ISTHMUS_MIGRATION_REFUSED',
  (service: string, why: string) => `${service}: ${why}`,
  { hint: 'See `isthmus migrate status`.' },
);
