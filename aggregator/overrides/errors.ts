// What is wrong with overrides.
import { defineError } from '../../lib/errors.ts';

export const OVERRIDES_FULL = defineError(
  'ISTHMUS_OVERRIDES_FULL',
  (max: number) => `there are ${max} overrides already`,
  { hint: 'Remove some; what is to last belongs into the registry or into a ServicePolicy.' },
);
