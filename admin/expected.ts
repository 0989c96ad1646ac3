// Which revision a writer knows of: `If-Match: "REVISION"`, or `If-None-Match: *` for what must not be there yet
// (RFC 9110, sections 13.1.1 and 13.1.2). Pure.
import { ADMIN_BODY } from './errors.ts';

/** @returns null: nothing may be there; undefined: the writer does not mind. @throws ISTHMUS_ADMIN_BODY */
export function expectedRevision(header: (name: string) => string | undefined): string | null | undefined {
  const [match, noneMatch] = [header('if-match'), header('if-none-match')];
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === '*' && match === undefined) return null;
    throw ADMIN_BODY('If-None-Match: only *, and not together with If-Match');
  }
  if (match === undefined) return undefined;
  const revision = /^\s*"([^"]+)"\s*$/.exec(match)?.[1];
  if (revision === undefined) throw ADMIN_BODY('If-Match: expected one revision in quotes, such as "abc-12"');
  return revision;
}

export const etag = (revision: string): string => `"${revision}"`;
