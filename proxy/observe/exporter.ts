// Spans on their way to a collector: in batches, one request at a time. What does not fit or is not taken is
// dropped and counted; who makes spans never waits.
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { OtlpSpan } from '../../proto/otlp.ts';
import { encodeSpans } from '../../proto/otlp.ts';
import type { Logger } from '../../telemetry/logger.ts';

export interface ExporterOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly serviceName: string;
  /** Of this program. */
  readonly version: string;
  /** Sends an ExportTraceServiceRequest; rejects when it was not taken. Must end by itself. */
  send(body: Buffer): Promise<void>;
  /** Lets go of what send() keeps. */
  end?(): void;
  /** Default 1,000 ms. */
  readonly flushMs?: number;
  /** Default 512. */
  readonly batch?: number;
  /** Spans that may wait. Default 2,048. */
  readonly max?: number;
}

const DEFAULTS = { flushMs: 1_000, batch: 512, max: 2_048 };

export class SpanExporter {
  readonly #options: ExporterOptions & typeof DEFAULTS;
  #waiting: OtlpSpan[] = [];
  #sending: Promise<void> | undefined;
  #cancelFlush: (() => void) | undefined;
  #failed = false;
  #closed = false;
  sent = 0;
  dropped = 0;

  constructor(options: ExporterOptions) {
    this.#options = { ...DEFAULTS, ...options };
  }

  add(span: OtlpSpan): void {
    const { max, batch } = this.#options;
    if (this.#closed || this.#waiting.length >= max) {
      this.dropped += 1;
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= batch) this.#flush();
    else this.#later();
  }

  /** Sends what waits, once: a collector that does not take it must not hold up the end. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#sending;
    this.#flush();
    await this.#sending;
    this.#cancelFlush?.();
    this.dropped += this.#waiting.splice(0).length;
    this.#options.end?.();
  }

  #later(): void {
    this.#cancelFlush ??= this.#options.clock.after(this.#options.flushMs, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#sending || this.#waiting.length === 0) return;
    const spans = this.#waiting.splice(0, this.#closed ? this.#waiting.length : this.#options.batch);
    this.#sending = this.#send(spans);
  }

  async #send(spans: readonly OtlpSpan[]): Promise<void> {
    const { log, batch } = this.#options;
    try {
      await this.#options.send(this.#bodyOf(spans));
      this.sent += spans.length;
      this.#failed = false;
    } catch (thrown) {
      this.dropped += spans.length;
      if (!this.#failed) log.warn({ cause: describeError(thrown) }, 'spans not taken');
      this.#failed = true;
    }
    this.#sending = undefined;
    if (this.#closed || this.#waiting.length === 0) return;
    if (this.#waiting.length >= batch && !this.#failed) this.#flush();
    else this.#later();
  }

  #bodyOf(spans: readonly OtlpSpan[]): Buffer {
    const { serviceName, version } = this.#options;
    const attributes = [
      ['service.name', serviceName],
      ['telemetry.sdk.name', 'isthmus'],
      ['telemetry.sdk.language', 'nodejs'],
      ['telemetry.sdk.version', version],
    ].map(([key = '', value = '']) => ({ key, value: { string_value: value } }));
    return encodeSpans({ resource_spans: [{ resource: { attributes }, scope_spans: [{ spans }] }] });
  }
}
