// A small server of Envoy's gRPC access log service: keeps what it is told, by log and node.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerReadableStream, sendUnaryData } from '@grpc/grpc-js';
import { decode } from '../../proto/codec.ts';
import type { HTTPAccessLogEntry__Output } from '../../proto/gen/types/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts';
import type { TCPAccessLogEntry__Output } from '../../proto/gen/types/envoy/data/accesslog/v3/TCPAccessLogEntry.ts';
import type { StreamAccessLogsMessage__Output } from '../../proto/gen/types/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts';

export interface LogService {
  readonly port: number;
  readonly http: {
    readonly log: string;
    readonly node: string;
    readonly entry: HTTPAccessLogEntry__Output;
  }[];
  readonly tcp: { readonly log: string; readonly node: string; readonly entry: TCPAccessLogEntry__Output }[];
  /** Metadata of each stream. */
  readonly streams: Readonly<Record<string, unknown>>[];
  /** Ends every open stream with an error. */
  cut(): void;
  stop(): void;
}

const PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
const MESSAGE = 'envoy.service.accesslog.v3.StreamAccessLogsMessage';

/** @param port default: a free one. */
export async function startLogService(port = 0): Promise<LogService> {
  const server = new Server();
  const http: LogService['http'] = [];
  const tcp: LogService['tcp'] = [];
  const streams: LogService['streams'] = [];
  const open = new Set<() => void>();
  const asIs = (bytes: Buffer): Buffer => bytes;
  const call = (stream: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
    let [log, node] = ['', ''];
    streams.push(stream.metadata.getMap());
    const cutOne = () => done(new Error('cut'));
    open.add(cutOne);
    stream.on('data', (bytes: Buffer) => {
      const message = decode<StreamAccessLogsMessage__Output>(MESSAGE, bytes);
      if (message.identifier) {
        log = message.identifier.log_name ?? '';
        node = message.identifier.node?.id ?? '';
      }
      http.push(...(message.http_logs?.log_entry ?? []).map((entry) => ({ log, node, entry })));
      tcp.push(...(message.tcp_logs?.log_entry ?? []).map((entry) => ({ log, node, entry })));
    });
    stream.on('error', () => open.delete(cutOne));
    stream.on('end', () => {
      open.delete(cutOne);
      done(null, Buffer.alloc(0));
    });
  };
  server.addService(
    {
      StreamAccessLogs: {
        path: PATH,
        requestStream: true,
        responseStream: false,
        requestDeserialize: asIs,
        requestSerialize: asIs,
        responseDeserialize: asIs,
        responseSerialize: asIs,
      },
    },
    { StreamAccessLogs: call },
  );
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, got) => {
      if (error) reject(error);
      else resolve(got);
    });
  });
  return {
    port: bound,
    http,
    tcp,
    streams,
    cut() {
      for (const cutOne of [...open]) cutOne();
      open.clear();
    },
    stop: () => server.forceShutdown(),
  };
}
