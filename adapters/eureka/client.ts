// The questions we ask Eureka. Lists are asked of several servers: the one that answered last is asked until
// it fails, then the next. Does not loop and keeps nothing of what was answered.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { EurekaSource } from '../../config/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError, toError } from '../../lib/errors.ts';
import { SOURCE_SILENT } from '../../lib/supervisor.ts';
import { WrongAnswer, askJson } from '../http-json.ts';
import { plainError } from '../plain-words.ts';
import { APPLICATIONS, readAnswer, readApp, readOne } from './answers.ts';
import type { EurekaAnswer, EurekaInstance } from './answers.ts';
import { EUREKA_ANSWER, EUREKA_DENIED, EUREKA_UNREACHABLE } from './errors.ts';
import { readTls, serverOf } from './servers.ts';
import type { Server } from './servers.ts';

export interface EurekaLimits {
  /** A delta must be whole by then; a full list may not be silent for longer. Default 5,000 ms. */
  readonly answerMs: number;
  /** A full list must be whole by then. Default 50,000 ms. */
  readonly listMs: number;
  /** Bytes of one answer. Default 256 MiB. */
  readonly maxBytes: number;
  /** No good answer for this long means silence. Default three polls or answers, at least 15,000 ms. */
  readonly silentMs: number;
}

/** Which server is asked next; kept from try to try. */
export interface Cursor {
  at: number;
}

export interface Heard {
  readonly answer: EurekaAnswer;
  /** Number of the server in the config. */
  readonly server: number;
}

/** As Eureka spells them. */
export interface InstanceRef {
  readonly app: string;
  readonly id: string;
}

export interface EurekaClient {
  full(signal: AbortSignal): Promise<Heard>;
  /** undefined: this server gives no deltas. */
  delta(signal: AbortSignal): Promise<Heard | undefined>;
  /**
   * One instance as a server's registry has it, past its caches.
   * `gone`: it is not registered there; undefined: this server cannot say.
   */
  instance(
    of: InstanceRef,
    server: number,
    signal: AbortSignal,
  ): Promise<EurekaInstance | 'gone' | undefined>;
  /** @throws ISTHMUS_SOURCE_SILENT when nothing good was heard for too long. Asks nothing itself. */
  probe(): void;
  close(): void;
}

/** @throws ISTHMUS_EUREKA_TLS */
export function createEurekaClient(
  config: EurekaSource,
  limits: EurekaLimits,
  cursor: Cursor,
  clock: Clock,
): EurekaClient {
  const http = new HttpAgent({ keepAlive: true });
  const https = new HttpsAgent({ keepAlive: true, ...readTls(config.tls) });
  const servers = config.urls.map((url) => serverOf(url, config));
  let heardAt = clock.monotonic();
  const heard = () => {
    heardAt = clock.monotonic();
  };

  const askServer = (server: Server, path: string, deadlineMs: number, signal: AbortSignal) =>
    askJson({
      url: new URL(`${server.base}${path}`),
      headers: server.headers,
      agent: server.base.startsWith('https:') ? https : http,
      deadlineMs,
      silenceMs: limits.answerMs,
      maxBytes: limits.maxBytes,
      signal,
      each: { path: APPLICATIONS, map: (said) => readApp(said, server.base) },
      onProgress: heard,
    });

  /** Each server once, from the one that answered last on. */
  async function ask(path: string, deadlineMs: number, signal: AbortSignal): Promise<Heard> {
    const faults: Error[] = [];
    for (const _ of servers) {
      const number = cursor.at % servers.length;
      const server = servers[number];
      if (!server) break;
      try {
        const said = await askServer(server, `${path}${regionsOf(config.regions)}`, deadlineMs, signal);
        const answer = readAnswer(said, server.base);
        heard();
        return { answer, server: number };
      } catch (thrown) {
        signal.throwIfAborted();
        // 403 and 404 of a delta mean that there is none: the full list will tell whether that is all.
        if (path === DELTA && isRefusal(thrown)) throw thrown;
        faults.push(explain(thrown, server.base));
        cursor.at = (number + 1) % servers.length;
      }
    }
    const [only] = faults;
    if (only && faults.length === 1) throw only;
    const each = new Error(faults.map(describeError).join('; '));
    throw EUREKA_UNREACHABLE.from(each, `any of ${servers.length} servers`);
  }

  return {
    full: (signal) => ask(FULL, limits.listMs, signal),
    async delta(signal) {
      try {
        return await ask(DELTA, limits.answerMs, signal);
      } catch (thrown) {
        if (isRefusal(thrown)) return undefined;
        throw thrown;
      }
    },
    async instance({ app, id }, number, signal) {
      const server = servers[number];
      if (!server) return undefined;
      const path = `${FULL}/${encodeURIComponent(app)}/${encodeURIComponent(id)}`;
      try {
        return readOne(await askServer(server, path, limits.answerMs, signal));
      } catch (thrown) {
        signal.throwIfAborted();
        if (!(thrown instanceof WrongAnswer)) throw explain(thrown, server.base);
        return thrown.status === 404 ? 'gone' : undefined;
      }
    },
    probe() {
      if (clock.monotonic() - heardAt > limits.silentMs) throw SOURCE_SILENT('any question', limits.silentMs);
    },
    close() {
      http.destroy();
      https.destroy();
    },
  };
}

const FULL = '/apps';
const DELTA = '/apps/delta';

function regionsOf(regions: readonly string[]): string {
  return regions.length === 0 ? '' : `?regions=${regions.map(encodeURIComponent).join(',')}`;
}

function isRefusal(thrown: unknown): boolean {
  return thrown instanceof WrongAnswer && (thrown.status === 403 || thrown.status === 404);
}

function explain(thrown: unknown, url: string): Error {
  if (thrown instanceof WrongAnswer) {
    const denied = thrown.status === 401 || thrown.status === 403;
    return (denied ? EUREKA_DENIED : EUREKA_ANSWER).from(thrown, url, thrown.message);
  }
  const error = toError(thrown);
  return 'code' in error && error.code === EUREKA_ANSWER.code
    ? error
    : EUREKA_UNREACHABLE.from(plainError(error), url);
}
