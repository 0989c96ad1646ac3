// Steady requests through the proxy, and who answered them. A failed request is counted, never retried
// here: what the caller sees is the point.
import { Agent, request } from 'node:http';
import type { Clock } from '../../lib/clock.ts';
import { sleep } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Answer } from './apps.ts';

export interface Tally {
  requests: number;
  failed: number;
  /** What the last failed request saw; '' while none failed. */
  lastFailure: string;
  /** Answers by `service instance`. */
  readonly answers: Map<string, Answered>;
}

export interface Answered {
  readonly service: string;
  readonly instance: string;
  readonly source: string;
  count: number;
}

export const emptyTally = (): Tally => ({ requests: 0, failed: 0, lastFailure: '', answers: new Map() });

export interface TrafficOptions {
  /** The proxy's outbound port on 127.0.0.1. */
  readonly port: number;
  /** Called in turn, so a name listed twice gets twice as much. */
  readonly services: readonly string[];
  readonly everyMs: number;
  readonly clock: Clock;
}

const TIMEOUT_MS = 5_000;

/** Sends until `signal` aborts, then waits for the answers still under way. */
export async function runTraffic(options: TrafficOptions, tally: Tally, signal: AbortSignal): Promise<void> {
  const { clock, everyMs } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const underWay = new Set<Promise<void>>();
  for (let turn = 0; !signal.aborted; turn += 1) {
    const service = options.services[turn % options.services.length] ?? '';
    const one = callOnce({ port: options.port, service, agent }).then((outcome) => count(tally, outcome));
    underWay.add(one);
    void one.then(() => underWay.delete(one));
    await sleep(everyMs, signal, clock).catch(() => undefined);
  }
  await Promise.all(underWay);
  agent.destroy();
}

/** Until the proxy has its config and answers; rejects with the signal's reason when that comes first. */
export async function waitForAnswer(
  port: number,
  service: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const agent = new Agent({ keepAlive: false });
  while ((await callOnce({ port, service, agent })).answer === undefined) await sleep(50, signal, clock);
}

interface Outcome {
  readonly answer: Answer | undefined;
  readonly failure: string;
}

function callOnce(call: {
  readonly port: number;
  readonly service: string;
  readonly agent: Agent;
}): Promise<Outcome> {
  return new Promise((resolve) => {
    const fail = (failure: string) => resolve({ answer: undefined, failure });
    const headers = { host: call.service };
    const outgoing = request({ host: '127.0.0.1', port: call.port, agent: call.agent, headers, path: '/' });
    outgoing.setTimeout(TIMEOUT_MS, () =>
      outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)),
    );
    outgoing.on('error', (error) => fail(`${call.service}: ${describeError(error)}`));
    outgoing.on('response', (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        text += chunk;
      });
      incoming.on('error', (error) => fail(`${call.service}: ${describeError(error)}`));
      incoming.on('end', () => {
        if (incoming.statusCode === 200) resolve({ answer: JSON.parse(text) as Answer, failure: '' });
        else fail(`${call.service}: HTTP ${incoming.statusCode ?? 0} ${text.trim().slice(0, 100)}`);
      });
    });
    outgoing.end();
  });
}

function count(tally: Tally, { answer, failure }: Outcome): void {
  tally.requests += 1;
  if (!answer) {
    tally.failed += 1;
    tally.lastFailure = failure;
    return;
  }
  const key = `${answer.service} ${answer.instance}`;
  const known = tally.answers.get(key);
  if (known) known.count += 1;
  else
    tally.answers.set(key, {
      service: answer.service,
      instance: answer.instance,
      source: answer.source,
      count: 1,
    });
}
