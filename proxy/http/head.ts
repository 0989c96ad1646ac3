// Finds where a head ends in the bytes received so far, and gives a verdict on a head that is not complete
// yet: the same verdict, whatever the segments in which the bytes arrive.
import { CR, hasBadByte } from './chars.ts';

/** A head may take this much, its final empty line included. */
export const MAX_HEAD_BYTES = 64 * 1024;
/** Fields of one head, when nobody says how many (Envoy's default). */
export const MAX_FIELDS = 100;
export const TOO_MANY_FIELDS = 'too many header fields';

const END = Buffer.from('\r\n\r\n');

/** No end yet; more bytes may bring it. */
export const INCOMPLETE = -1;
/** No end yet, and a byte that may not stand in a head. */
export const BAD_BYTE = -2;
/** No end within MAX_HEAD_BYTES. */
export const TOO_LARGE = -3;

/**
 * Index of the empty line's CRLFCRLF in [from, to), or one of the negative answers.
 * @param seen bytes from `from` on that an earlier call called INCOMPLETE; they are not read again.
 */
export function findHeadEnd(bytes: Buffer, from: number, to: number, seen: number): number {
  const end = bytes.indexOf(END, Math.max(from, from + seen - 3));
  const limit = Math.min(to, from + MAX_HEAD_BYTES);
  if (end >= 0 && end + 4 <= limit) return end;
  const judged = seen > 0 && bytes[from + seen - 1] === CR ? from + seen - 1 : from + seen;
  if (hasBadByte(bytes, judged, limit)) return BAD_BYTE;
  return to - from >= MAX_HEAD_BYTES ? TOO_LARGE : INCOMPLETE;
}
