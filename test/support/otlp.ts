// A small OTLP collector: takes spans over HTTP and over gRPC, and keeps them.
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { decodeSpans } from '../../proto/otlp.ts';

export interface SeenSpan {
  /** Hex digits; '' without a parent. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: number;
  readonly startNano: bigint;
  readonly endNano: bigint;
  readonly failed: boolean;
  readonly attributes: Readonly<Record<string, string>>;
  /** Of the resource that it stands under. */
  readonly resource: Readonly<Record<string, string>>;
}

export interface Collector {
  readonly httpPort: number;
  readonly grpcPort: number;
  readonly spans: SeenSpan[];
  /** Of each request over HTTP, and the metadata of each over gRPC. */
  readonly requests: { readonly path: string; readonly headers: Readonly<Record<string, unknown>> }[];
  /** What HTTP requests are answered with. Default 200. */
  status: number;
  stop(): Promise<void>;
}

const EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

export async function startCollector(): Promise<Collector> {
  const spans: SeenSpan[] = [];
  const requests: Collector['requests'] = [];
  const http = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      requests.push({ path: request.url ?? '', headers: request.headers });
      if (collector.status < 300) spans.push(...spansOf(body));
      response.writeHead(collector.status).end();
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const grpc = new Server();
  const asIs = (bytes: Buffer): Buffer => bytes;
  grpc.addService(
    {
      Export: {
        path: EXPORT,
        requestStream: false,
        responseStream: false,
        requestDeserialize: asIs,
        requestSerialize: asIs,
        responseDeserialize: asIs,
        responseSerialize: asIs,
      },
    },
    {
      Export: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
        requests.push({ path: EXPORT, headers: call.metadata.getMap() });
        spans.push(...spansOf(call.request));
        done(null, Buffer.alloc(0));
      },
    },
  );
  const grpcPort = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
  const collector: Collector = {
    httpPort: (http.address() as AddressInfo).port,
    grpcPort,
    spans,
    requests,
    status: 200,
    async stop() {
      grpc.forceShutdown();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
  return collector;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');
const plain = (attributes: readonly { key: string; value?: { string_value?: string } }[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value?.string_value ?? '?']));

function spansOf(bytes: Buffer): SeenSpan[] {
  return decodeSpans(bytes).resource_spans.flatMap(({ resource, scope_spans: scopes }) =>
    scopes.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: hex(span.trace_id),
        spanId: hex(span.span_id),
        parentId: hex(span.parent_span_id),
        traceState: span.trace_state ?? '',
        name: span.name,
        kind: span.kind,
        startNano: BigInt(span.start_time_unix_nano),
        endNano: BigInt(span.end_time_unix_nano),
        failed: span.status?.code === 2,
        attributes: plain(span.attributes),
        resource: plain(resource.attributes),
      })),
    ),
  );
}
