// One delta-ADS stream over its own connection, from connect to end. Bytes in, bytes out: it knows nothing
// of resources. It never reconnects; the client decides when the next one starts.
import { Client, Metadata, connectivityState, status } from '@grpc/grpc-js';
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { childController } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import { defineError } from '../../lib/errors.ts';
import { whyNot } from './why-not.ts';
import type { Way } from './way.ts';

export const XDS_UNREACHABLE = defineError(
  'ISTHMUS_PROXY_XDS_UNREACHABLE',
  (address: string) => `no connection to the control plane at ${address}`,
  {
    hint: 'Is `isthmus serve` running, and is --xds its xds.plaintext address, or with --xds-cert its xds.tls?',
  },
);
export const XDS_STREAM_ENDED = defineError(
  'ISTHMUS_PROXY_XDS_STREAM_ENDED',
  (why: string) => `the stream to the control plane ended: ${why}`,
);

export interface StreamOptions {
  /** HOST:PORT of the control plane. */
  readonly address: string;
  /** A connection not ready by then is given up. */
  readonly connectTimeoutMs: number;
  /** Ping after so long without traffic … */
  readonly keepaliveMs: number;
  /** … and end the stream when the answer takes longer than this. */
  readonly keepaliveTimeoutMs: number;
  /** Shown to the control plane with each stream; '' for nothing. */
  readonly token: string;
  readonly way: Way;
  readonly clock: Clock;
}

/** Nothing that is sent now is likely to arrive. */
export const STREAM_LOST = new Error('the stream has ended');

/** How long the control plane gets to close a stream that we ended. */
const LEAVE_MS = 500;

export interface Session {
  /** Called once, when requests can be sent. */
  onOpen(send: (request: Uint8Array) => void): void;
  /** A throw ends the stream. */
  onMessage(response: Buffer): void;
  /**
   * Further calls over the same connection, until `signal` aborts: with STREAM_LOST when the stream has ended, else
   * because the proxy ends. Whatever becomes of them, the stream goes on.
   */
  beside?(client: Client, signal: AbortSignal): Promise<void>;
}

const METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const asIs = (bytes: Buffer): Buffer => bytes;

type Call = ClientDuplexStream<Uint8Array, Buffer>;

/** Runs one stream to its end: rejects with the reason, or resolves when `signal` aborted. */
export async function runStream(
  options: StreamOptions,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  const client = new Client(options.address, options.way.credentials, {
    ...options.way.channel,
    'grpc.keepalive_time_ms': options.keepaliveMs,
    'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs,
    'grpc.max_receive_message_length': -1,
    // Each try has its own connection: grpc's own back-off, shared between channels, would add to ours.
    'grpc.use_local_subchannel_pool': 1,
    // The environment's proxy is for the web; Envoy does not use it for xDS either.
    'grpc.enable_http_proxy': 0,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
  });
  try {
    await connect(client, options, signal);
    if (!signal.aborted) await converseAndMore(client, options, session, signal);
  } finally {
    client.close();
  }
}

async function converseAndMore(
  client: Client,
  options: StreamOptions,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  const { controller, release } = childController(signal);
  const beside = session.beside?.(client, controller.signal);
  try {
    await converse(client, options, session, signal);
  } finally {
    controller.abort(STREAM_LOST);
    release();
    await beside;
  }
}

/** Fails at the first refusal: the client's own wait, and its next replica, come sooner than grpc's. */
async function connect(client: Client, options: StreamOptions, signal: AbortSignal): Promise<void> {
  if (await ready(client, Date.now() + options.connectTimeoutMs, signal)) return;
  const fault = options.way.fault() ?? (await whyNot(options.address, signal));
  if (!signal.aborted) throw XDS_UNREACHABLE.from(fault, options.address);
}

/** @returns false when there is no connection; true too when `signal` aborted. */
function ready(client: Client, deadline: number, signal: AbortSignal): Promise<boolean> {
  const channel = client.getChannel();
  return new Promise((resolve) => {
    const settle = (isReady: boolean) => {
      signal.removeEventListener('abort', onAbort);
      resolve(isReady);
    };
    const onAbort = () => settle(true);
    signal.addEventListener('abort', onAbort, { once: true });
    const look = () => {
      if (signal.aborted) return;
      const now = channel.getConnectivityState(true);
      if (now === connectivityState.READY) settle(true);
      else if (now === connectivityState.TRANSIENT_FAILURE) settle(false);
      else channel.watchConnectivityState(now, deadline, (late) => (late ? settle(false) : look()));
    };
    look();
  });
}

function converse(
  client: Client,
  options: StreamOptions,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const metadata = new Metadata();
    if (options.token !== '') metadata.set('isthmus-token', options.token);
    const call: Call = client.makeBidiStreamRequest(METHOD, toBuffer, asIs, metadata);
    let fault: Error | undefined;
    // Ended, not cancelled: so the control plane knows that we leave on purpose.
    let forgetLeave: () => void = () => undefined;
    const onAbort = () => {
      call.end();
      forgetLeave = options.clock.after(LEAVE_MS, () => call.cancel());
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const finish = (why: Error) => {
      signal.removeEventListener('abort', onAbort);
      forgetLeave();
      if (signal.aborted) resolve();
      else reject(fault ?? why);
    };
    call.on('data', (response: Buffer) => {
      if (fault || signal.aborted) return;
      try {
        session.onMessage(response);
      } catch (thrown) {
        fault = XDS_STREAM_ENDED.from(thrown, 'a response could not be read');
        call.cancel();
      }
    });
    call.on('error', (error: ServiceError) => {
      finish(XDS_STREAM_ENDED(`${status[error.code] ?? error.code} ${error.details}`.trim()));
    });
    call.on('end', () => finish(XDS_STREAM_ENDED('closed by the server')));
    session.onOpen((request) => {
      call.write(request);
    });
  });
}
