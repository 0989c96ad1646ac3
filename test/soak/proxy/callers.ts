// Steady load through one data plane: some callers, each one request at a time over a kept connection, with and
// without a body. Every answer must be a 200 of a host of the service that was asked for, with the whole body.
import { Client } from 'undici';
import { sleep } from '../../../lib/clock.ts';
import { describeError } from '../../../lib/errors.ts';
import { Random } from '../random.ts';
import type { FailedRequest } from './oracle.ts';
import type { Service } from './world.ts';

const CALLERS = 12;
const RATE = 150;
const BODY = Buffer.alloc(10_000, 'x');
/** Longer than any timeout of a policy. */
const NO_ANSWER_MS = 30_000;

export interface Failure extends FailedRequest {
  readonly service: Service;
  readonly text: string;
}

export interface CallersOptions {
  readonly seed: number;
  readonly name: string;
  readonly port: number;
  readonly services: readonly Service[];
  readonly failed: (failure: Failure) => void;
}

export class Callers {
  readonly #options: CallersOptions;
  good = 0;
  slowestMs = 0;

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  /** Resolves when one request to each service went well. */
  async untilRouted(signal: AbortSignal): Promise<void> {
    const { port, services } = this.#options;
    const client = new Client(`http://127.0.0.1:${port}`);
    try {
      for (const service of services) {
        while ((await this.#one(client, service, false)) !== '') await sleep(50, signal);
      }
    } finally {
      await client.destroy();
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from({ length: CALLERS }, (_, i) => this.#caller(i, signal)));
  }

  async #caller(number: number, signal: AbortSignal): Promise<void> {
    const { seed, name, port, services, failed } = this.#options;
    const random = Random.named(seed, `${name} caller ${number}`);
    const options = { headersTimeout: NO_ANSWER_MS, bodyTimeout: NO_ANSWER_MS };
    const client = new Client(`http://127.0.0.1:${port}`, options);
    try {
      while (!signal.aborted) {
        const service = random.pick(services);
        const fromMs = performance.now();
        const text = await this.#one(client, service, random.chance(0.2));
        const toMs = performance.now();
        if (text === '') this.good += 1;
        else failed({ service, text, fromMs, toMs });
        this.slowestMs = Math.max(this.slowestMs, toMs - fromMs);
        const restMs = (CALLERS * 1_000) / RATE - (toMs - fromMs);
        if (restMs > 0) await sleep(restMs, signal).catch(() => undefined);
      }
    } finally {
      await client.destroy();
    }
  }

  /** '' when it went well. */
  async #one(client: Client, { name }: Service, withBody: boolean): Promise<string> {
    try {
      const answer = await client.request({
        path: '/',
        method: withBody ? 'POST' : 'GET',
        headers: { host: name },
        body: withBody ? BODY : null,
      });
      const text = await answer.body.text();
      const size = withBody ? BODY.length : 0;
      if (answer.statusCode !== 200) return `${answer.statusCode} ${text.slice(0, 200).trimEnd()}`;
      return new RegExp(`^${name}-\\d+ ${size}$`).test(text) ? '' : `a wrong answer: ${text.slice(0, 200)}`;
    } catch (thrown) {
      return describeError(thrown);
    }
  }
}
