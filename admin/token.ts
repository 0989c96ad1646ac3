// Who may change something: whoever knows the token. It stands in a file that only the user who runs Isthmus can
// read, so a page in a browser and other users of the machine cannot know it. Read at each write: a token that
// was replaced counts at once. Never logged.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isMissing, writeAtomically } from '../lib/atomic-file.ts';
import { describeError } from '../lib/errors.ts';
import type { IsthmusError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ADMIN_TOKEN_FILE, ADMIN_TOKEN_MISSING, ADMIN_TOKEN_WRONG, ADMIN_WRITES_OFF } from './errors.ts';

/** A shorter one could be guessed; an empty file must never let anybody in. */
const MIN_LENGTH = 16;

export interface Refusal {
  readonly status: 401 | 403 | 503;
  readonly error: IsthmusError;
}

/** Why a write with this Authorization header (RFC 6750, section 2.1) is refused; undefined when it is not. */
export type WriteGuard = (authorization: string | undefined) => Promise<Refusal | undefined>;

/** @param file with the token in it; '' when there is none: then nobody may write. */
export function writeGuard(file: string): WriteGuard {
  return async (authorization) => {
    if (file === '') return { status: 403, error: ADMIN_WRITES_OFF() };
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return { status: 401, error: ADMIN_TOKEN_MISSING() };
    let token: string;
    try {
      token = (await readFile(file, 'utf8')).trim();
    } catch (thrown) {
      return { status: 503, error: ADMIN_TOKEN_FILE.from(thrown, file, describeError(thrown)) };
    }
    if (token.length < MIN_LENGTH) {
      return { status: 503, error: ADMIN_TOKEN_FILE(file, `it has fewer than ${MIN_LENGTH} characters`) };
    }
    return isSame(given, token) ? undefined : { status: 403, error: ADMIN_TOKEN_WRONG() };
  };
}

/** Makes the file at the first start, mode 0600. A fault is told, and leaves the API read-only. */
export async function ensureToken(file: string, log: Logger): Promise<void> {
  try {
    const token = await readFile(file, 'utf8').catch((thrown: unknown) => {
      if (isMissing(thrown)) return '';
      throw thrown;
    });
    if (token.trim() !== '') return;
    await mkdir(dirname(file), { recursive: true });
    const fresh = `${randomBytes(32).toString('base64url')}\n`;
    await writeAtomically(file, (handle) => handle.writeFile(fresh));
    log.info({ file }, 'a token for changes over the admin API was made');
  } catch (thrown) {
    const { code, message, hint } = ADMIN_TOKEN_FILE.from(thrown, file, describeError(thrown));
    log.warn({ code, cause: message, hint }, 'nothing can be changed over the admin API');
  }
}

/** In the same time whatever they have in common; hashed, so that the length does not show either. */
function isSame(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => createHash('sha256').update(text).digest());
  return x !== undefined && y !== undefined && timingSafeEqual(x, y);
}
