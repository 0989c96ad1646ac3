// One question over HTTP whose answer must be a whole JSON document: for registries that speak plain HTTP.
// Every question ends by its deadline, by silence, by size or by the signal. Does not loop, remembers
// nothing, follows no redirect; what is not the answer is an error that says what came instead.
import { request as httpRequest } from 'node:http';
import type { Agent, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { toError } from '../lib/errors.ts';
import { parseJsonInTurns } from '../lib/json-turns.ts';
import type { JsonTurnsOptions } from '../lib/json-turns.ts';
import { readRetryAfter, withRetryAfter } from '../lib/retry-after.ts';

export interface JsonQuestion {
  /** Without userinfo. */
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** A form to POST; without it the question is a GET. */
  readonly form?: string;
  /** From the same scheme as the URL; the caller destroys it. */
  readonly agent: Agent;
  /** The answer must be whole by then. */
  readonly deadlineMs: number;
  /** No byte for this long is a fault. */
  readonly silenceMs: number;
  /** Bytes, packed or not. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Members of a list that are to be read as they are parsed. */
  readonly each?: JsonTurnsOptions['each'];
  /** A piece of a good answer came. */
  onProgress?(): void;
}

/** The server answered, but not with the document: `status` is 200 when the body was wrong. */
export class WrongAnswer extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'WrongAnswer';
    this.status = status;
  }
}

/** @throws WrongAnswer, or the error of the connection. */
export async function askJson(question: JsonQuestion): Promise<unknown> {
  const { deadlineMs, signal } = question;
  const late = AbortSignal.timeout(deadlineMs);
  try {
    const { status, body, retryAfterMs } = await exchange(question, AbortSignal.any([signal, late]));
    if (status !== 200) {
      const wrong = new WrongAnswer(status, describeStatus(status, body.toString('utf8')));
      throw withRetryAfter(wrong, retryAfterMs);
    }
    return await parse(body, question);
  } catch (thrown) {
    signal.throwIfAborted();
    if (late.aborted) throw new Error(`no whole answer within ${deadlineMs / 1000} s`, { cause: thrown });
    throw toError(thrown);
  }
}

interface Exchange {
  readonly status: number;
  readonly body: Buffer;
  readonly retryAfterMs?: number | undefined;
}

function exchange(question: JsonQuestion, signal: AbortSignal): Promise<Exchange> {
  const { url, form, agent, silenceMs } = question;
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        'accept-encoding': 'gzip',
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        ...question.headers,
      },
      agent,
      signal,
      timeout: silenceMs,
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`silent for ${silenceMs / 1000} s`)));
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      // A body that breaks off is an error of the response, not of the request.
      response.on('error', reject);
      readBody(question, response).then(resolve, (thrown: unknown) => {
        outgoing.destroy();
        reject(toError(thrown));
      });
    });
    outgoing.end(form);
  });
}

/** Of an error page only the beginning is wanted. */
const ERROR_BYTES = 2_000;

async function readBody(question: JsonQuestion, response: IncomingMessage): Promise<Exchange> {
  const status = response.statusCode ?? 0;
  const packed = response.headers['content-encoding'] === 'gzip';
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (status !== 200 && size >= ERROR_BYTES) break;
    if (status !== 200) continue;
    if (size > question.maxBytes) throw tooLarge(question.maxBytes);
    if (!packed && chunks.length === 1) refuseMarkup(chunk);
    question.onProgress?.();
  }
  const body = Buffer.concat(chunks);
  const retryAfterMs = readRetryAfter(response.headers['retry-after'], Date.now());
  if (!packed || status !== 200) return { status, body, retryAfterMs };
  return { status, body: await unpack(body, question.maxBytes) };
}

const tooLarge = (maxBytes: number) =>
  new WrongAnswer(200, `the answer is larger than ${Math.round(maxBytes / 1_000_000)} MB`);

async function unpack(body: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await promisify(gunzip)(body, { maxOutputLength: maxBytes });
  } catch (thrown) {
    const isLarge = thrown instanceof RangeError;
    throw isLarge ? tooLarge(maxBytes) : new WrongAnswer(200, 'the answer is not gzip as it says');
  }
}

/** A web page of any length is known by its first character. */
function refuseMarkup(start: Buffer): void {
  const text = start.toString('utf8', 0, 300);
  if (text.trimStart().startsWith('<')) throw new WrongAnswer(200, `not JSON but "${excerpt(text)}"`);
}

async function parse(body: Buffer, { signal, each }: JsonQuestion): Promise<unknown> {
  if (body.toString('utf8', 0, 1_000).trim() === '') throw new WrongAnswer(200, 'an empty answer');
  try {
    return await parseJsonInTurns(body, { signal, ...(each ? { each } : {}) });
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown;
    throw new WrongAnswer(200, `not JSON: ${thrown.message.slice(0, 100)}`);
  }
}

function describeStatus(status: number, body: string): string {
  const said = excerpt(body);
  return said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`;
}

function excerpt(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 120);
}
