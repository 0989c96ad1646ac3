// Calls beside the stream of configuration, over its connection: begun again for as long as that one lasts. Whether
// the control plane takes them changes nothing for requests.
import { status } from '@grpc/grpc-js';
import type { Client, ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { aborted } from '../../lib/abort.ts';
import { backoff } from '../../lib/backoff.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';

export type BesideCall = ClientDuplexStream<Buffer, Buffer>;
export type CallEnd = Pick<ServiceError, 'code' | 'details'>;
export type Beside = (client: Client, signal: AbortSignal) => Promise<void>;

export interface BesideOptions {
  /** /package.Service/Method */
  readonly method: string;
  /** For the log. */
  readonly what: string;
  readonly log: Logger;
  readonly clock: Clock;
}

const RETRY = { baseMs: 1_000, maxMs: 30_000 };
const asIs = (bytes: Buffer): Buffer => bytes;

/** @param converse one call, to its end; never rejects. @returns what never rejects either. */
export function callBeside(
  { method, what, log, clock }: BesideOptions,
  converse: (call: BesideCall, signal: AbortSignal) => Promise<CallEnd>,
): Beside {
  return async (client, signal) => {
    const wait = backoff(RETRY);
    while (!signal.aborted) {
      const begunAt = clock.monotonic();
      const end = await converse(client.makeBidiStreamRequest(method, asIs, asIs), signal);
      if (signal.aborted) return;
      log.debug({ what, cause: `${status[end.code] ?? end.code} ${end.details}` }, 'call ended');
      // A server without the service does not get one while it runs.
      if (end.code === status.UNIMPLEMENTED) return aborted(signal);
      if (clock.monotonic() - begunAt > RETRY.maxMs) wait.reset();
      await sleep(wait.next(), signal, clock).catch(() => undefined);
    }
  };
}
