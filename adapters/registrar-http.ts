// What registrars say over HTTP: one question, its status and text, within a deadline; and many of them, of which one
// that is refused does not keep the others from being asked. Does not retry.
import { request as httpRequest } from 'node:http';
import type { Agent } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { toError } from '../lib/errors.ts';
import { WrongAnswer } from './http-json.ts';
import { mapLimit } from './tasks.ts';

/** The whole answer has to be there by then. */
const ANSWER_MS = 5_000;
const MAX_BYTES = 16_000_000;

interface Said {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Without userinfo. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: object | undefined;
  /** From the same scheme as the URL. */
  readonly agent: Agent;
  readonly signal: AbortSignal;
}

interface Answered {
  readonly status: number;
  readonly text: string;
}

/** Rejects with the error of the connection; any status is an answer. */
export async function say(said: Said): Promise<Answered> {
  const late = AbortSignal.timeout(ANSWER_MS);
  const signal = AbortSignal.any([said.signal, late]);
  const last = { isReused: false };
  try {
    for (;;) {
      try {
        return await exchange(said, signal, last);
      } catch (thrown) {
        // The server closed a connection that had been idle just as it was used again; the next idle one may be as dead.
        if (!last.isReused || signal.aborted) throw thrown;
      }
    }
  } catch (thrown) {
    said.signal.throwIfAborted();
    if (late.aborted) throw new Error(`silent for ${ANSWER_MS / 1_000} s`, { cause: thrown });
    throw toError(thrown);
  }
}

function exchange(
  { method, url, headers, body, agent }: Said,
  signal: AbortSignal,
  last: { isReused: boolean },
): Promise<Answered> {
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  const options = { method, agent, headers: { accept: 'application/json', ...type, ...headers }, signal };
  return new Promise((resolve, reject) => {
    const outgoing = request(url, options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > MAX_BYTES) response.destroy(new Error('the answer is too large'));
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
      );
    });
    outgoing.on('error', (error) => {
      last.isReused = outgoing.reusedSocket;
      reject(error);
    });
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** For an answer that refuses. */
export const refusal = ({ status, text }: Answered): WrongAnswer =>
  new WrongAnswer(status, `HTTP ${status} ${text.replace(/\s+/g, ' ').slice(0, 200)}`.trim());

/**
 * Does the work for each, `limit` at once. What a registry refuses (an error whose cause is a WrongAnswer) keeps no other
 * from its turn; the first in the order of `items` is returned. Any other error is thrown at once, as the others would
 * meet it too.
 */
export async function forAll<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<Error | undefined> {
  let isOver = false;
  const refused = await mapLimit(items, limit, async (item) => {
    if (isOver) return undefined;
    try {
      await work(item);
      return undefined;
    } catch (thrown) {
      if (isRefused(thrown)) return thrown;
      isOver = true;
      throw thrown;
    }
  });
  return refused.find((error) => error !== undefined);
}

/** The registry has answered, and not with what was asked for. */
export const isRefused = (thrown: unknown): thrown is Error & { readonly cause: WrongAnswer } =>
  thrown instanceof Error && thrown.cause instanceof WrongAnswer;
