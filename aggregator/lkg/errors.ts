// What is wrong with a file of last known good.
import { defineError } from '../../lib/errors.ts';

export const LKG_BAD = defineError(
  'ISTHMUS_LKG_BAD',
  (file: string, fault: string) => `${file} is not used: ${fault}`,
  { hint: 'It was renamed and is kept for you to look at; the source is read anew.' },
);

export const LKG_WRITE = defineError(
  'ISTHMUS_LKG_WRITE',
  (file: string) => `the last known good cannot be written to ${file}`,
  {
    hint: 'Everything else goes on; a restart would find what was written last. Look at disk space and rights.',
  },
);
