// The exporters of one data plane, one for each collector and service name. One that no listener names any more
// sends what it has and ends.
import { Metadata } from '@grpc/grpc-js';
import type { ExporterOptions } from './exporter.ts';
import { SpanExporter } from './exporter.ts';
import { GrpcLink } from './grpc-link.ts';
import type { HostsOf } from './grpc-link.ts';
import { Kept } from './kept.ts';
import { postSpans } from './otlp-http.ts';
import type { TracingRules } from './tracer.ts';

export interface SpanCounts {
  readonly sent: number;
  readonly dropped: number;
}

export interface ExportersOptions extends Pick<ExporterOptions, 'clock' | 'log' | 'version'> {
  readonly hostsOf: HostsOf;
}

const EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
const URL_TIMEOUT_MS = 5_000;
const asIs = (bytes: Buffer): Buffer => bytes;

export class SpanExporters {
  readonly #options: ExportersOptions;
  readonly #exporters = new Kept<SpanExporter>((exporter) => this.#count(exporter));
  #ended = { sent: 0, dropped: 0 };

  constructor(options: ExportersOptions) {
    this.#options = options;
  }

  exporter(rules: TracingRules): SpanExporter {
    const key = keyOf(rules);
    const known = this.#exporters.get(key);
    if (known) return known;
    const { clock, log, version } = this.#options;
    const { serviceName } = rules;
    const exporter = new SpanExporter({ clock, log, version, serviceName, ...this.#sender(rules.to) });
    this.#exporters.set(key, exporter);
    return exporter;
  }

  /** Lets go of the exporters that are not among those of `rules`. */
  keep(rules: readonly TracingRules[]): void {
    this.#exporters.keep(new Set(rules.map(keyOf)));
  }

  get counts(): SpanCounts {
    let { sent, dropped } = this.#ended;
    for (const exporter of this.#exporters.all()) {
      sent += exporter.sent;
      dropped += exporter.dropped;
    }
    return { sent, dropped };
  }

  close(): Promise<void> {
    return this.#exporters.close();
  }

  #count({ sent, dropped }: SpanExporter): void {
    this.#ended.sent += sent;
    this.#ended.dropped += dropped;
  }

  #sender(to: TracingRules['to']): Pick<ExporterOptions, 'send' | 'end'> {
    if ('grpc' in to) return this.#grpcSender(to);
    if ('url' in to) {
      const target = targetOf(to.url);
      return { send: (body) => postSpans(target, body) };
    }
    return {
      send: async (body) => {
        const hosts = this.#options.hostsOf(to.cluster);
        const found = hosts[Math.floor(Math.random() * hosts.length)];
        if (!found) throw new Error(`the cluster ${to.cluster} has no host`);
        await postSpans({ ...to, address: found.address, port: found.port }, body);
      },
    };
  }

  #grpcSender(to: Extract<TracingRules['to'], { grpc: string }>): Pick<ExporterOptions, 'send' | 'end'> {
    const link = new GrpcLink(to.grpc, this.#options.hostsOf);
    const metadata = new Metadata();
    for (const [name, value] of to.fields) metadata.add(name, value);
    return {
      send: (body) =>
        new Promise((resolve, reject) => {
          const client = link.client();
          if (!client) return reject(new Error(`the cluster ${to.grpc} has no host`));
          const deadline = Date.now() + to.timeoutMs;
          client.makeUnaryRequest(EXPORT, asIs, asIs, body, metadata, { deadline }, (error) => {
            if (error) reject(error);
            else resolve();
          });
        }),
      end: () => link.close(),
    };
  }
}

/** Made once for each rule. */
const KEYS = new WeakMap<TracingRules, string>();

function keyOf(rules: TracingRules): string {
  const known = KEYS.get(rules);
  if (known !== undefined) return known;
  const key = JSON.stringify([rules.to, rules.serviceName]);
  KEYS.set(rules, key);
  return key;
}

function targetOf(url: string): Parameters<typeof postSpans>[0] {
  const { hostname, port, pathname, host } = new URL(url);
  return {
    address: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || '80'),
    path: pathname === '/' ? '/v1/traces' : pathname,
    host,
    fields: [],
    timeoutMs: URL_TIMEOUT_MS,
  };
}
