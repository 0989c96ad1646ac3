// Who changes something in a running control plane, and with which token.
import { readFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { describeError } from '../lib/errors.ts';
import { usage } from './usage.ts';

export interface OperatorFlags {
  readonly server: string;
  readonly tokenFile?: string;
}

/** Where the token is, by itself: the folder that `serve` makes beside its config. */
const HERE = 'isthmus-data/admin-token';

/** undefined when there is none: the server says what it wants then. */
export async function tokenFrom({ tokenFile }: OperatorFlags): Promise<string | undefined> {
  const variable = process.env['ISTHMUS_TOKEN'] ?? '';
  if (tokenFile === undefined && variable !== '') return variable.trim();
  try {
    return (await readFile(tokenFile ?? HERE, 'utf8')).trim();
  } catch (thrown) {
    if (tokenFile === undefined) return undefined;
    throw usage(`--token-file: ${describeError(thrown)}`);
  }
}

export function whoami(): string {
  return `${userName()}@${hostname()}`;
}

/** A user without an entry in the machine's list of users has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env['USER'] ?? 'unknown';
  }
}
