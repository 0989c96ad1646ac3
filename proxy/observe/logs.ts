// The log files and streams of one data plane, one for each path or service, whoever logs there. One that no
// listener names any more is written out and closed.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Kept } from './kept.ts';
import { LogFile } from './log-file.ts';
import type { LogFileOptions } from './log-file.ts';
import { LogStream } from './log-stream.ts';
import type { LogStreamOptions } from './log-stream.ts';
import type { LogView } from './record.ts';
import type { AccessLogRule, StreamLogRule } from './rules.ts';

export interface LogCounts {
  readonly written: number;
  readonly dropped: number;
  /** Entries of Envoy's gRPC service, which the others do not count. */
  readonly streamed: { readonly written: number; readonly dropped: number };
}

type Sink = LogFile | LogStream;

export class AccessLogs {
  readonly #options: LogFileOptions & LogStreamOptions;
  readonly #sinks = new Kept<Sink>((sink) =>
    addTo(sink instanceof LogFile ? this.#ended.file : this.#ended.stream, sink),
  );
  /** Of streams: made once for each rule. */
  readonly #keys = new WeakMap<StreamLogRule, string>();
  readonly #ended = { file: { written: 0, dropped: 0 }, stream: { written: 0, dropped: 0 } };

  constructor(options: LogFileOptions & LogStreamOptions) {
    this.#options = options;
  }

  add(rule: AccessLogRule, view: LogView): void {
    if ('path' in rule) this.#file(rule.path).add(rule.format(view));
    else this.#stream(rule).add(view, rule);
  }

  #file(path: string): LogFile {
    const known = this.#sinks.get(path);
    if (known instanceof LogFile) return known;
    const file = new LogFile(path, this.#options);
    this.#sinks.set(path, file);
    return file;
  }

  #stream(rule: StreamLogRule): LogStream {
    const key = this.#keyOf(rule);
    const known = this.#sinks.get(key);
    if (known instanceof LogStream) return known;
    const stream = new LogStream(rule, this.#options);
    this.#sinks.set(key, stream);
    return stream;
  }

  /** Not a path: those do not begin with a bracket and hold quoted texts. */
  #keyOf(rule: StreamLogRule): string {
    const known = this.#keys.get(rule);
    if (known !== undefined) return known;
    const { kind, logName, cluster, fields, flushMs, bufferBytes } = rule;
    const key = JSON.stringify([kind, logName, cluster, fields, flushMs, bufferBytes]);
    this.#keys.set(rule, key);
    return key;
  }

  /** Lets go of the files and streams that are not among those of `rules`. */
  keep(rules: Iterable<AccessLogRule>): void {
    const named = new Set<string>();
    for (const rule of rules) named.add('path' in rule ? rule.path : this.#keyOf(rule));
    this.#sinks.keep(named);
  }

  reopen(): void {
    for (const sink of this.#sinks.all()) if (sink instanceof LogFile) sink.reopen();
  }

  get counts(): LogCounts {
    const file = { ...this.#ended.file };
    const stream = { ...this.#ended.stream };
    for (const sink of this.#sinks.all()) addTo(sink instanceof LogFile ? file : stream, sink);
    return { ...file, streamed: stream };
  }

  /** Writes everything out, also what connections say that are just being closed. */
  async close(): Promise<void> {
    await nextTurn();
    await this.#sinks.close();
  }
}

function addTo(sum: { written: number; dropped: number }, { written, dropped }: Sink): void {
  sum.written += written;
  sum.dropped += dropped;
}
