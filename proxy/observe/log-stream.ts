// Entries on their way to Envoy's gRPC access log service: in batches, over one stream that says once whose they
// are. What does not fit while the server is away or slow is dropped and counted; nobody who logs waits.
import { Metadata } from '@grpc/grpc-js';
import type { ClientWritableStream } from '@grpc/grpc-js';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import { encode } from '../../proto/codec.ts';
import type { Node } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { HTTPAccessLogEntry } from '../../proto/gen/types/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts';
import type { TCPAccessLogEntry } from '../../proto/gen/types/envoy/data/accesslog/v3/TCPAccessLogEntry.ts';
import type { StreamAccessLogsMessage } from '../../proto/gen/types/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { GrpcLink } from './grpc-link.ts';
import type { HostsOf } from './grpc-link.ts';
import { httpEntry, tcpEntry } from './log-entry.ts';
import type { LogView } from './record.ts';
import type { StreamLogRule } from './rules.ts';

export interface LogStreamOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly node: Node;
  readonly hostsOf: HostsOf;
  /** Entries that may wait. Default 2,048. */
  readonly max?: number;
}

const METHOD = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
const MESSAGE = 'envoy.service.accesslog.v3.StreamAccessLogsMessage';
const MAX = 2_048;
/** Between two streams, when one broke. */
const RETRY_MS = 1_000;
const CONNECT_MS = 5_000;
/** How long the last entries get when the log ends. */
const LEAVE_MS = 1_000;
/** What an entry takes without its texts, roughly. */
const ENTRY_BYTES = 300;
const asIs = (bytes: Buffer): Buffer => bytes;

type Entry = HTTPAccessLogEntry | TCPAccessLogEntry;

export class LogStream {
  readonly #rule: StreamLogRule;
  readonly #o: LogStreamOptions;
  readonly #link: GrpcLink;
  readonly #metadata = new Metadata();
  #waiting: Entry[] = [];
  #waitingBytes = 0;
  #call: ClientWritableStream<Buffer> | undefined;
  #opening: Promise<void> | undefined;
  /** Nothing was said on this stream yet. */
  #fresh = true;
  #blocked = false;
  #notBefore = 0;
  #failed = false;
  #closed = false;
  #cancelFlush: (() => void) | undefined;
  #onEnd: (() => void) | undefined;
  written = 0;
  dropped = 0;

  constructor(rule: StreamLogRule, options: LogStreamOptions) {
    this.#rule = rule;
    this.#o = options;
    this.#link = new GrpcLink(rule.cluster, options.hostsOf);
    for (const [name, value] of rule.fields) this.#metadata.add(name, value);
  }

  /** @param rule of the same service: the one that this was made for, or one that quotes other fields. */
  add(view: LogView, rule: StreamLogRule): void {
    if (this.#closed || this.#waiting.length >= (this.#o.max ?? MAX)) {
      this.dropped += 1;
      return;
    }
    const { kind, bufferBytes, flushMs } = this.#rule;
    this.#waiting.push(kind === 'http' ? httpEntry(view, rule) : tcpEntry(view, rule));
    this.#waitingBytes += ENTRY_BYTES + view.record.requestText.length;
    if (this.#waitingBytes >= bufferBytes) this.#flush();
    else this.#later(flushMs);
  }

  /** Sends what waits if that takes no longer than a moment. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#notBefore = 0;
    this.#flush();
    let cancelTimer = () => undefined as void;
    const tooLong = new Promise<void>((resolve) => {
      cancelTimer = this.#o.clock.after(LEAVE_MS, resolve);
    });
    await Promise.race([this.#opening, tooLong]);
    await Promise.race([this.#endCall(), tooLong]);
    cancelTimer();
    this.#call?.cancel();
    this.#cancelFlush?.();
    this.#drop(this.#waiting.length);
    this.#waiting = [];
    this.#link.close();
  }

  #endCall(): Promise<void> {
    const call = this.#call;
    if (!call) return Promise.resolve();
    const ended = new Promise<void>((resolve) => {
      this.#onEnd = resolve;
    });
    call.end();
    return ended;
  }

  #later(ms: number): void {
    this.#cancelFlush ??= this.#o.clock.after(ms, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#waiting.length === 0 || (this.#blocked && !this.#closed)) return;
    if (this.#call) return this.#write(this.#call);
    const waitMs = this.#notBefore - this.#o.clock.monotonic();
    if (waitMs > 0) return this.#later(waitMs);
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
  }

  #write(call: ClientWritableStream<Buffer>): void {
    const entries = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    const bytes = encode<StreamAccessLogsMessage>(MESSAGE, this.#messageOf(entries));
    const taken = call.write(bytes, (error?: Error | null) => {
      if (error) this.#drop(entries.length);
      else this.written += entries.length;
    });
    if (!taken) this.#blocked = true;
  }

  #messageOf(entries: Entry[]): StreamAccessLogsMessage {
    const { kind, logName } = this.#rule;
    const fresh = this.#fresh;
    this.#fresh = false;
    return {
      ...(fresh && { identifier: { node: this.#o.node, log_name: logName } }),
      ...(kind === 'http' ? { http_logs: { log_entry: entries } } : { tcp_logs: { log_entry: entries } }),
    };
  }

  /** Only over a connection that stands: what is written before is taken for told. */
  async #open(): Promise<void> {
    const client = this.#link.client();
    if (!client) return this.#onFault(new Error(`the cluster ${this.#rule.cluster} has no host`));
    const error = await new Promise<Error | undefined>((resolve) => {
      client.waitForReady(Date.now() + CONNECT_MS, resolve);
    });
    if (error) return this.#onFault(error);
    const call = client.makeClientStreamRequest(METHOD, asIs, asIs, this.#metadata, (fault) => {
      this.#call = undefined;
      this.#blocked = false;
      this.#onEnd?.();
      if (!this.#closed) this.#onFault(fault ?? new Error('the server ended the stream'));
    });
    call.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
    // It says why it ends in its callback.
    call.on('error', () => undefined);
    this.#failed = false;
    this.#fresh = true;
    this.#call = call;
    this.#flush();
  }

  #onFault(error: Error): void {
    if (!this.#failed) {
      const { logName } = this.#rule;
      this.#o.log.warn({ logName, cause: describeError(error) }, 'access log not taken');
    }
    this.#failed = true;
    this.#notBefore = this.#o.clock.monotonic() + RETRY_MS;
    if (this.#closed) return;
    this.#link.close();
    if (this.#waiting.length > 0) this.#later(RETRY_MS);
  }

  #drop(count: number): void {
    this.dropped += count;
  }
}
