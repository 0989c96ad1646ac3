// What a client speaks, by the first bytes it sends: HTTP in one of its versions, or something else. A verdict is
// given as soon as it can be, and is the same whatever the segments. Pure.

export type Spoken = 'http/1.0' | 'http/1.1' | 'h2c' | 'other';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** Registered methods (RFC 9110 §9, RFC 5789, WebDAV and its kin); whoever uses another one is passed on as bytes. */
const METHODS =
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH ACL BIND CHECKOUT COPY LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY PROPFIND PROPPATCH PURGE QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE'.split(
    ' ',
  );
const LINE = /^[A-Z]+ \S+ HTTP\/1\.([01])\r?$/;
/** A request line that is longer is none, as in Envoy. */
export const MAX_SNIFF_BYTES = 64 * 1024;

/** undefined: more bytes may tell. */
export function spokenIn(bytes: Buffer): Spoken | undefined {
  const start = bytes.toString('latin1', 0, PREFACE.length);
  if (start.length > 3 && PREFACE.startsWith(start))
    return start.length === PREFACE.length ? 'h2c' : undefined;
  const method = start.split(' ', 1)[0] ?? '';
  const isWhole = method.length < start.length;
  const known = METHODS.some((name) => (isWhole ? name === method : name.startsWith(method)));
  if (!known && !PREFACE.startsWith(start)) return 'other';
  const end = bytes.indexOf('\n');
  if (end < 0) return bytes.length >= MAX_SNIFF_BYTES ? 'other' : undefined;
  const minor = LINE.exec(bytes.toString('latin1', 0, end))?.[1];
  return minor === undefined ? 'other' : minor === '1' ? 'http/1.1' : 'http/1.0';
}
