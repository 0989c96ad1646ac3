// One ping: is somebody there, and does it answer in the service's name? A fresh connection each time, closed after
// it; ends by its deadline. Remembers nothing, follows no redirect, reads no body.
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import { toError } from '../lib/errors.ts';
import type { Verdict } from '../model/ping.ts';

export interface PingTarget {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number;
  /** `connect`: a connection is all that is asked for; that tells life and never a name. */
  readonly how: 'http' | 'connect';
  /** Begins with a slash. */
  readonly path: string;
  /** Canonical. */
  readonly service: string;
  /** Its other names: who answers in one of them is no other service. */
  readonly aliases: readonly string[];
}

export interface Answer {
  readonly verdict: Verdict;
  /** Why it failed; '' when it did not. */
  readonly cause: string;
}

/** Asked for by this service; compared by the sidecar with its own. */
const ASKED = 'x-isthmus-service';
/** The name that a sidecar answers in; Envoy's health check filter sets the same. */
const NAMED = 'x-envoy-upstream-healthchecked-cluster';
const MISDIRECTED = 421;
/** So much of a body is taken before the connection is cut. */
const BODY_BYTES = 16_384;

/** undefined: the signal aborted. Never rejects. */
export async function ping(
  target: PingTarget,
  timeoutMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const ask = target.how === 'http' ? askByHttp : askByConnection;
  const controller = new AbortController();
  const end = () => controller.abort(new Error(`no answer within ${timeoutMs / 1_000} s`));
  const cancel = clock.after(timeoutMs, end);
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) end();
    const answer = await ask(target, controller.signal);
    return signal.aborted ? undefined : answer;
  } finally {
    cancel();
    signal.removeEventListener('abort', end);
  }
}

/** @param status of the answer. @param name what NAMED says; undefined when it is not there. */
export function verdictOf(
  { service, aliases }: Pick<PingTarget, 'service' | 'aliases'>,
  status: number,
  name: string | undefined,
): Verdict {
  const said = name?.toLowerCase() ?? '';
  if (said !== '') {
    const own = [service, ...aliases].some((each) => each.toLowerCase() === said);
    return own ? { kind: 'alive' } : { kind: 'answeredAs', service: said };
  }
  if (status === MISDIRECTED) return { kind: 'answeredAs', service: 'another service' };
  // An error of the application's is a sign of life too: its registry, not the ping, says how well it is.
  return { kind: 'unproven' };
}

const answered = (verdict: Verdict): Answer => ({ verdict, cause: '' });
const failed = (cause: string): Answer => ({ verdict: { kind: 'refused' }, cause });

function askByHttp(target: PingTarget, signal: AbortSignal): Promise<Answer> {
  const { address, port, path, service } = target;
  return new Promise((resolve) => {
    let answer: Answer | undefined;
    try {
      const outgoing = request({
        host: address,
        port,
        path,
        method: 'GET',
        headers: { host: service, [ASKED]: service, 'user-agent': 'isthmus', connection: 'close' },
        agent: false,
        signal,
      });
      outgoing.on('response', (response) => {
        const name = response.headers[NAMED];
        answer = answered(verdictOf(target, response.statusCode ?? 0, Array.isArray(name) ? name[0] : name));
        letGo(response);
      });
      outgoing.on('error', (error) => {
        answer ??= signal.aborted ? failed(toError(signal.reason).message) : faultOf(error);
      });
      outgoing.on('close', () => resolve(answer ?? failed('closed without an answer')));
      outgoing.end();
    } catch (thrown) {
      // A name that no header can carry is nobody's fault at that address.
      resolve({ verdict: { kind: 'unproven' }, cause: toError(thrown).message });
    }
  });
}

function letGo(response: IncomingMessage): void {
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > BODY_BYTES) response.destroy();
  });
  response.on('error', () => response.destroy());
}

/** Bytes that are no HTTP (a TLS or HTTP/2 server, a database) come from somebody who lives. */
function faultOf(error: NodeJS.ErrnoException): Answer {
  const isOtherProtocol = error.code?.startsWith('HPE_') === true;
  return isOtherProtocol ? answered({ kind: 'unproven' }) : failed(error.code ?? error.message);
}

function askByConnection({ address, port }: PingTarget, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve) => {
    let answer: Answer | undefined;
    const socket = connect({ host: address, port, signal });
    socket.on('connect', () => {
      answer = answered({ kind: 'unproven' });
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      answer ??= failed(signal.aborted ? toError(signal.reason).message : (error.code ?? error.message));
    });
    socket.on('close', () => resolve(answer ?? failed('closed')));
  });
}
