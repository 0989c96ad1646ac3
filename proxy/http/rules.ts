// What a listener does about HTTP when its connection manager says nothing (Envoy's defaults).
import { chainOf } from '../filters/types.ts';
import type { HttpRules } from '../tables.ts';

export const DEFAULT_HTTP: HttpRules = {
  chain: chainOf([]),
  idleMs: 300_000,
  requestMs: 0,
  maxStreamMs: 0,
  bufferBytes: 1_048_576,
  envoyHeaders: true,
  heedDeadline: false,
};
