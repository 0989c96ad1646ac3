// What is wrong with overrides, and with the file in which they outlive the process.
import { defineError } from '../../lib/errors.ts';

export const OVERRIDES_BAD = defineError(
  'ISTHMUS_OVERRIDES_BAD',
  (file: string, fault: string) => `${file} is not used: ${fault}`,
  { hint: 'It was renamed and is kept for you to look at. Set again what is still wanted.' },
);

export const OVERRIDES_WRITE = defineError(
  'ISTHMUS_OVERRIDES_WRITE',
  (file: string) => `the overrides cannot be written to ${file}`,
  { hint: 'They are in force, but a restart would not know them. Look at disk space and rights.' },
);

export const OVERRIDES_FULL = defineError(
  'ISTHMUS_OVERRIDES_FULL',
  (max: number) => `there are ${max} overrides already`,
  { hint: 'Remove some; what is to last belongs into the registry or into a ServicePolicy.' },
);
