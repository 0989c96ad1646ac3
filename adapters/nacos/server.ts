// One Nacos server: which API it speaks, found out once, and an access token, fetched and renewed. Asks one
// question at a time for whoever calls; does not loop, and knows nothing of services.
import type { Agent } from 'node:http';
import type { Clock } from '../../lib/clock.ts';
import { toError } from '../../lib/errors.ts';
import { WrongAnswer, askJson } from '../http-json.ts';
import type { JsonQuestion } from '../http-json.ts';
import { plainError } from '../plain-words.ts';
import { loginForm, readTokenFile } from './access.ts';
import type { AccessConfig } from './access.ts';
import { readAnswer } from './answers.ts';
import { DIALECTS, LOGINS } from './dialects.ts';
import type { Dialect, Question } from './dialects.ts';
import { NACOS_ANSWER, NACOS_DENIED, NACOS_UNREACHABLE } from './errors.ts';

export interface ServerOptions {
  /** Without a slash at its end; what messages call it, too. */
  readonly base: string;
  readonly access: AccessConfig;
  /** Of every question to the cluster. */
  readonly namespace: string;
  /** undefined: to be found out. */
  readonly dialect: Dialect | undefined;
  readonly agent: Agent;
  readonly clock: Clock;
  /** An answer must be whole by then, milliseconds. */
  readonly answerMs: number;
  /** Bytes of one answer. */
  readonly maxBytes: number;
  /** A piece of a good answer came. */
  readonly onProgress: () => void;
  readonly onDialect: (dialect: Dialect) => void;
}

interface Token {
  /** '' for none: the source has no credentials. */
  readonly text: string;
  /** On the monotonic clock; undefined: never. */
  readonly renewAt: number | undefined;
}

/** Nacos says how long a token holds, 5 hours by default; it is renewed after this part of it. */
const RENEW_AFTER = 0.8;

export class Server {
  readonly #options: ServerOptions;
  #dialect: Promise<Dialect> | undefined;
  #token: Promise<Token> | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    if (options.dialect) this.#dialect = Promise.resolve(options.dialect);
  }

  get base(): string {
    return this.#options.base;
  }

  /**
   * The API it speaks; asked for once.
   * @throws ISTHMUS_NACOS_ANSWER, _DENIED, _UNREACHABLE
   */
  dialect(signal: AbortSignal): Promise<Dialect> {
    this.#dialect ??= this.#findDialect(signal).catch((thrown: unknown) => {
      this.#dialect = undefined;
      throw toError(thrown);
    });
    return this.#dialect;
  }

  /**
   * undefined: it says that there is no such thing (404).
   * @throws ISTHMUS_NACOS_ANSWER, _DENIED, _UNREACHABLE, _FILE
   */
  async find<T>(question: Question<T>, signal: AbortSignal): Promise<T | undefined> {
    const answer = await this.#ask(question, signal);
    return answer instanceof WrongAnswer ? undefined : answer;
  }

  /** As find(); that there is no such thing is an error. */
  async ask<T>(question: Question<T>, signal: AbortSignal): Promise<T> {
    const answer = await this.#ask(question, signal);
    if (answer instanceof WrongAnswer) throw NACOS_ANSWER(this.base, answer.message);
    return answer;
  }

  async #findDialect(signal: AbortSignal): Promise<Dialect> {
    const { namespace, onDialect } = this.#options;
    let denied: Error | undefined;
    let said = '';
    for (const dialect of DIALECTS) {
      try {
        const answer = await this.#ask(dialect.hello(namespace), signal);
        if (!(answer instanceof WrongAnswer)) {
          onDialect(dialect);
          return dialect;
        }
        said = answer.message;
      } catch (thrown) {
        // One API may be forbidden and an older one not.
        if (!(thrown instanceof Error && 'code' in thrown && thrown.code === NACOS_DENIED.code)) throw thrown;
        denied ??= thrown;
      }
    }
    throw denied ?? NACOS_ANSWER(this.base, `none of Nacos's APIs is there, last: ${said}`);
  }

  /** A refusal is answered by a new token, once. */
  async #ask<T>(question: Question<T>, signal: AbortSignal): Promise<T | WrongAnswer> {
    const token = await this.#currentToken(signal);
    const held = this.#token;
    try {
      return question.read(await this.#get(question.path, token, signal), this.base);
    } catch (thrown) {
      if (!isRefusal(thrown) || token.text === '') return this.#explain(thrown, signal);
    }
    // Of several that are refused at the same time, the first one asks for a new token.
    if (this.#token === held) this.#token = undefined;
    const fresh = await this.#currentToken(signal);
    try {
      return question.read(await this.#get(question.path, fresh, signal), this.base);
    } catch (thrown) {
      return this.#explain(thrown, signal);
    }
  }

  #get(path: string, { text }: Token, signal: AbortSignal): Promise<unknown> {
    // In a header and not in the query, where it would end up in access logs.
    const headers = text === '' ? {} : { authorization: `Bearer ${text}` };
    return askJson({ ...this.#question(path, signal), headers });
  }

  #question(path: string, signal: AbortSignal): JsonQuestion {
    const { base, agent, answerMs, maxBytes, onProgress } = this.#options;
    const url = new URL(base + path);
    return { url, agent, deadlineMs: answerMs, silenceMs: answerMs, maxBytes, signal, onProgress };
  }

  async #currentToken(signal: AbortSignal): Promise<Token> {
    const { clock } = this.#options;
    const held = this.#token;
    const known = await held;
    if (known && (known.renewAt === undefined || clock.monotonic() < known.renewAt)) return known;
    if (this.#token === held) this.#token = undefined;
    this.#token ??= this.#login(signal).catch((thrown: unknown) => {
      this.#token = undefined;
      throw toError(thrown);
    });
    return this.#token;
  }

  async #login(signal: AbortSignal): Promise<Token> {
    const { access, clock } = this.#options;
    const fromFile = await readTokenFile(access);
    if (fromFile !== undefined) return { text: fromFile, renewAt: undefined };
    const form = await loginForm(access);
    if (form === undefined) return { text: '', renewAt: undefined };
    for (const path of LOGINS) {
      try {
        const data = await askJson({ ...this.#question(path, signal), form });
        const { accessToken, tokenTtl } = readAnswer('login', data, this.base);
        const renewAt = clock.monotonic() + (tokenTtl ?? 0) * 1_000 * RENEW_AFTER;
        return { text: accessToken, renewAt: tokenTtl ? renewAt : undefined };
      } catch (thrown) {
        const explained = this.#explain(thrown, signal);
        if (path === LOGINS.at(-1))
          throw NACOS_ANSWER.from(thrown, this.base, `no login: ${explained.message}`);
      }
    }
    throw NACOS_ANSWER(this.base, 'no login');
  }

  /** What is not there is returned, everything else thrown. */
  #explain(thrown: unknown, signal: AbortSignal): WrongAnswer {
    signal.throwIfAborted();
    if (thrown instanceof WrongAnswer) {
      if (NOT_THERE.includes(thrown.status)) return thrown;
      throw (isRefusal(thrown) ? NACOS_DENIED : NACOS_ANSWER).from(thrown, this.base, thrown.message);
    }
    const error = toError(thrown);
    if ('code' in error && String(error.code).startsWith('ISTHMUS_')) throw error;
    throw NACOS_UNREACHABLE.from(plainError(error), this.base);
  }
}

/** How servers say that they do not know a path: also when it was known to older ones. */
const NOT_THERE: readonly number[] = [404, 405, 410, 501];

function isRefusal(thrown: unknown): boolean {
  return thrown instanceof WrongAnswer && (thrown.status === 401 || thrown.status === 403);
}
