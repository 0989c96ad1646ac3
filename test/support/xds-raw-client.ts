// A client that speaks xDS by hand over a real socket: says exactly what a test tells it, keeps what comes.
// It never waits to see that nothing comes: a test sends a marker (a request or a change that must be
// answered) and expects that answer to be the very next message.
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import type { ChannelCredentials, ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import type { AnyType } from '../../xds-server/types.ts';
import { NODE, decodeResponse, encodeRequest } from './xds-messages.ts';
import type { Received, RequestFields, Variant } from './xds-messages.ts';

const METHOD: Readonly<Record<Variant, string>> = {
  delta: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
  sotw: '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
};

const DEADLINE_MS = 10_000;
const same = (bytes: Buffer): Buffer => bytes;

export class XdsRawClient {
  readonly #channel: Client;
  readonly #variant: Variant;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #inbox: Received[] = [];
  /** How the stream ended. */
  readonly ended: Promise<StatusObject>;
  #over: StatusObject | undefined;
  #wake: () => void = () => undefined;
  #node: object | undefined;

  /** @param method the path of another method than that of ADS. @param by TLS; default: plaintext. */
  constructor(
    port: number,
    variant: Variant,
    node: object = NODE,
    method: string = METHOD[variant],
    by: ChannelCredentials = credentials.createInsecure(),
  ) {
    this.#variant = variant;
    this.#node = node;
    this.#channel = new Client(`127.0.0.1:${port}`, by, {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      // A channel of its own: what breaks one connection must not be able to break another test's.
      'grpc.use_local_subchannel_pool': 1,
    });
    this.#call = this.#channel.makeBidiStreamRequest(method, same, same, new Metadata());
    this.#call.on('data', (bytes: Buffer) => {
      this.#inbox.push(decodeResponse(variant, bytes));
      this.#wake();
    });
    this.#call.on('error', () => undefined); // told by 'status' as well
    this.ended = new Promise((resolve) => {
      this.#call.on('status', (end: StatusObject) => {
        this.#over = end;
        this.#wake();
        resolve(end);
      });
    });
  }

  sendBytes(bytes: Buffer): this {
    this.#call.write(bytes);
    return this;
  }

  /** The node goes with the first request only. */
  send(type: RequestFields['type'], fields: RequestFields = {}): this {
    const node = this.#node ? { node: this.#node } : {};
    this.#node = undefined;
    return this.sendBytes(
      encodeRequest(this.#variant, { ...node, ...fields, ...(type === undefined ? {} : { type }) }),
    );
  }

  /** How the stream ended; undefined while it lives. */
  get over(): StatusObject | undefined {
    return this.#over;
  }

  /** The next response, which must be of this type. Rejects after 10 s, or when the stream ends before. */
  async expectResponse(type: AnyType): Promise<Received> {
    const response = await this.anyResponse();
    if (!response) throw new Error(`stream ended: ${status[this.#over?.code ?? 0]} ${this.#over?.details}`);
    if (response.type === type) return response;
    throw new Error(`expected ${type}, got ${response.type}: ${response.names.slice(0, 5).join()}`);
  }

  /** The next response; undefined when the stream ends before. Rejects after 10 s. */
  async anyResponse(): Promise<Received | undefined> {
    const end = performance.now() + DEADLINE_MS;
    while (this.#inbox.length === 0) {
      if (this.#over) return undefined;
      if (performance.now() > end) throw new Error(`no response within ${DEADLINE_MS} ms`);
      await this.#news(end - performance.now());
    }
    return this.#inbox.shift();
  }

  ack(response: Received, fields: RequestFields = {}): this {
    return this.send(response.type, { nonce: response.nonce, version: response.version, ...fields });
  }

  nack(response: Received, error: string, fields: RequestFields = {}): this {
    return this.send(response.type, { nonce: response.nonce, error, ...fields });
  }

  /** The next response, acknowledged. */
  async take(type: AnyType, fields: RequestFields = {}): Promise<Received> {
    const response = await this.expectResponse(type);
    this.ack(response, fields);
    return response;
  }

  /** Ends in order: half-closes, and the server answers OK. */
  async end(): Promise<StatusObject> {
    this.#call.end();
    const end = await this.ended;
    this.#channel.close();
    return end;
  }

  /** Ends the stream without a word. */
  kill(): void {
    this.#call.cancel();
    this.#channel.close();
  }

  async #news(withinMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, Math.max(1, withinMs));
    });
    clearTimeout(timer);
  }
}
