// Content hashes for versions: equal bytes give equal versions on every replica.
import { hash } from 'node:crypto';

/** 96 bits of SHA-256 in hex: short enough for a log line, long enough never to collide in practice. */
export function contentHash(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'hex').slice(0, 24);
}
