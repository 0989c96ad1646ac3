// Waiting with an end: for a condition, for a child's output, for an HTTP answer. Loopback only.
import { get } from 'node:http';
import { sleep } from '../../lib/clock.ts';
import type { Child } from './types.ts';

/** Asks again and again, `everyMs` in between, until the answer is not undefined. Rejects when `signal` aborts or `child` ends. */
export async function until<T>(
  what: string,
  child: Child,
  signal: AbortSignal,
  ask: () => Promise<T | undefined>,
  everyMs = 50,
): Promise<T> {
  for (;;) {
    if (child.hasEnded) throw new Error(`${child.name} ended while waiting for ${what}: ${child.stderr()}`);
    const answer = await ask().catch(() => undefined);
    if (answer !== undefined) return answer;
    await sleep(everyMs, signal).catch((cause: unknown) => {
      throw new Error(`${child.name}: no ${what} in time: ${child.stderr()}`, { cause });
    });
  }
}

/** Resolves with the exit code; rejects when `signal` aborts first. */
export function untilEnded(child: Child, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new Error(`${child.name} did not end in time`, { cause: signal.reason }));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void child.ended.then((code) => {
      signal.removeEventListener('abort', onAbort);
      resolve(code);
    });
  });
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** GET on 127.0.0.1, on a connection that is kept (node:http's own agent). */
export function httpGet(
  port: number,
  path: string,
  signal: AbortSignal,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, headers, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.once('error', reject);
    });
    request.once('error', reject);
  });
}
