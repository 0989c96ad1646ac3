// One POST of spans to a collector.
import { request } from 'node:http';

export interface OtlpHttpTarget {
  readonly address: string;
  readonly port: number;
  readonly path: string;
  readonly host: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Until its answer is whole. */
  readonly timeoutMs: number;
}

/** Rejects when it was not taken. */
export function postSpans(target: OtlpHttpTarget, body: Buffer): Promise<void> {
  const { address, port, path, host, fields, timeoutMs } = target;
  return new Promise((resolve, reject) => {
    const call = request({
      host: address,
      port,
      path,
      method: 'POST',
      agent: false,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        host,
        'content-type': 'application/x-protobuf',
        'content-length': body.length,
        ...Object.fromEntries(fields),
      },
    });
    call.on('error', reject);
    call.on('response', (response) => {
      response.resume();
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) resolve();
        else reject(new Error(`the collector answered ${statusCode}`));
      });
    });
    call.end(body);
  });
}
