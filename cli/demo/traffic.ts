// A caller of the demo: steady requests through its data plane, and who answered them. A failed request is counted,
// never sent again here: what the caller sees is the point.
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
  /** The data plane's outbound port on 127.0.0.1. */
  readonly port: number;
  /** Called in turn, so a name listed twice gets twice as much; read anew at each turn. */
  readonly services: () => readonly string[];
  readonly everyMs: number;
  readonly clock: Clock;
}

const TIMEOUT_MS = 10_000;

/** Sends until `signal` aborts, then waits for the answers still under way. @param tallies each counts all of it. */
export async function runTraffic(
  options: TrafficOptions,
  tallies: readonly Tally[],
  signal: AbortSignal,
): Promise<void> {
  const { clock, everyMs, port } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const underWay = new Set<Promise<void>>();
  for (let turn = 0; !signal.aborted; turn += 1) {
    const services = options.services();
    const service = services[turn % services.length] ?? '';
    const one = callOnce({ port, service, agent }).then((outcome) =>
      tallies.forEach((tally) => count(tally, outcome)),
    );
    underWay.add(one);
    void one.then(() => underWay.delete(one));
    await sleep(everyMs, signal, clock).catch(() => undefined);
  }
  await Promise.all(underWay);
  agent.destroy();
}

/** Whether a call through the data plane is answered by the service; undefined: not yet. */
export async function answers(port: number, service: string): Promise<true | undefined> {
  const agent = new Agent({ keepAlive: false });
  return (await callOnce({ port, service, agent })).answer === undefined ? undefined : true;
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
    const { port, service, agent } = call;
    const outgoing = request({ host: '127.0.0.1', port, agent, headers: { service }, path: '/' });
    outgoing.setTimeout(TIMEOUT_MS, () =>
      outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)),
    );
    outgoing.on('error', (error) => fail(`${service}: ${describeError(error)}`));
    outgoing.on('response', (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        text += chunk;
      });
      incoming.on('error', (error) => fail(`${service}: ${describeError(error)}`));
      incoming.on('end', () => {
        if (incoming.statusCode === 200) resolve({ answer: JSON.parse(text) as Answer, failure: '' });
        else fail(`${service}: HTTP ${incoming.statusCode ?? 0} ${text.trim().slice(0, 100)}`);
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
