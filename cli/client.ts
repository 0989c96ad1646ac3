// Asks the admin API of a running control plane.
import type { ErrorJson, Items } from '../admin/types.ts';
import { IsthmusError, defineError, describeError, toError } from '../lib/errors.ts';
import { usage } from './usage.ts';

const ANSWER_MS = 5_000;
const NOT_OURS = 'what answers there is not an Isthmus admin API';

export const SERVER_UNREACHABLE = defineError(
  'ISTHMUS_SERVER_UNREACHABLE',
  (server: string, why: string) => `no control plane answers at ${server}: ${why}`,
  { hint: 'Is `isthmus serve` running there? Name another address with --server URL or ISTHMUS_SERVER.' },
);

export const SERVER_REFUSED = defineError(
  'ISTHMUS_SERVER_REFUSED',
  (what: string, server: string) => `${what} (asked ${server})`,
);

export interface AdminClient {
  list<T>(path: string): Promise<readonly T[]>;
  /**
   * A change; refused with the server's own code and hint.
   * @param expected revision of what is there, null: nothing; undefined: whatever it is.
   */
  send<T>(
    method: 'PUT' | 'DELETE' | 'POST',
    path: string,
    body: unknown,
    token: string | undefined,
    expected?: string | null,
  ): Promise<T>;
  /** One object, such as an explanation. */
  one<T extends object>(path: string): Promise<T>;
}

/** @param server base URL such as http://127.0.0.1:15080; HOST:PORT will do too. */
export function adminClient(server: string): AdminClient {
  const base = server.includes('://') ? server : `http://${server}`;
  if (!URL.canParse(base)) throw usage(`--server: expected a URL, got "${server}"`);
  const read = async (path: string): Promise<object> => {
    const { status, text } = await ask(base, path);
    const body = parse(base, text);
    if (status === 200) return body;
    const { error } = body as Partial<ErrorJson>;
    throw error === undefined ? SERVER_UNREACHABLE(base, NOT_OURS) : SERVER_REFUSED(error.message, base);
  };
  return {
    async list<T>(path: string) {
      const { items } = (await read(path)) as Partial<Items<T>>;
      if (Array.isArray(items)) return items;
      throw SERVER_UNREACHABLE(base, NOT_OURS);
    },
    async send<T>(
      method: string,
      path: string,
      body: unknown,
      token: string | undefined,
      expected?: string | null,
    ) {
      const headers = {
        'content-type': 'application/json',
        ...(expected === null ? { 'if-none-match': '*' } : {}),
        ...(typeof expected === 'string' ? { 'if-match': `"${expected}"` } : {}),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      };
      const { status, text } = await ask(base, path, { method, headers, body: JSON.stringify(body) });
      const answer = parse(base, text);
      if (status === 200) return answer as T;
      const { error } = answer as Partial<ErrorJson>;
      if (error === undefined) throw SERVER_UNREACHABLE(base, NOT_OURS);
      throw new IsthmusError(error.code, `${error.message} (asked ${base})`, { hint: error.hint });
    },
    one: async <T extends object>(path: string) => (await read(path)) as T,
  };
}

async function ask(
  base: string,
  path: string,
  init: RequestInit = {},
): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(new URL(path, base), { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
    return { status: response.status, text: await response.text() };
  } catch (thrown) {
    throw SERVER_UNREACHABLE(base, reasonOf(toError(thrown)));
  }
}

function reasonOf(error: Error): string {
  if (error.name === 'TimeoutError') return `no answer within ${ANSWER_MS / 1000} s`;
  // fetch says only "fetch failed"; what happened is in the cause.
  return describeError(error.cause ?? error);
}

function parse(base: string, text: string): object {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null) return body;
  } catch {
    // Said below: whatever answers there does not speak JSON.
  }
  throw SERVER_UNREACHABLE(base, NOT_OURS);
}
