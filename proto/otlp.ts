// OTLP's spans in protobuf (opentelemetry.proto.collector.trace.v1 and what it holds), as far as this product
// writes them. Not among the descriptors of codec.ts: the package that those come from does not carry OTLP.
import protobuf from 'protobufjs';

export interface OtlpAttribute {
  readonly key: string;
  readonly value: { readonly string_value: string };
}

export interface OtlpSpan {
  /** 16, 8 and 8 bytes; a root span has no parent. */
  readonly trace_id: Uint8Array;
  readonly span_id: Uint8Array;
  readonly parent_span_id?: Uint8Array;
  readonly trace_state?: string;
  readonly name: string;
  /** SPAN_KIND_SERVER is 2, SPAN_KIND_CLIENT 3. */
  readonly kind: number;
  /** Decimal digits: beyond what a number holds. */
  readonly start_time_unix_nano: string;
  readonly end_time_unix_nano: string;
  readonly attributes: readonly OtlpAttribute[];
  /** STATUS_CODE_ERROR is 2; absent: unset. */
  readonly status?: { readonly code: number };
}

/** ExportTraceServiceRequest. */
export interface OtlpExport {
  readonly resource_spans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scope_spans: readonly {
      readonly scope?: { readonly name?: string; readonly version?: string };
      readonly spans: readonly OtlpSpan[];
    }[];
  }[];
}

const field = (type: string, id: number) => ({ type, id });
const many = (type: string, id: number) => ({ rule: 'repeated', type, id });

const SCHEMA = {
  nested: {
    Export: { fields: { resource_spans: many('ResourceSpans', 1) } },
    ResourceSpans: { fields: { resource: field('Resource', 1), scope_spans: many('ScopeSpans', 2) } },
    Resource: { fields: { attributes: many('KeyValue', 1) } },
    ScopeSpans: { fields: { scope: field('Scope', 1), spans: many('Span', 2) } },
    Scope: { fields: { name: field('string', 1), version: field('string', 2) } },
    Span: {
      fields: {
        trace_id: field('bytes', 1),
        span_id: field('bytes', 2),
        trace_state: field('string', 3),
        parent_span_id: field('bytes', 4),
        name: field('string', 5),
        kind: field('int32', 6),
        start_time_unix_nano: field('fixed64', 7),
        end_time_unix_nano: field('fixed64', 8),
        attributes: many('KeyValue', 9),
        status: field('Status', 15),
      },
    },
    Status: { fields: { message: field('string', 2), code: field('int32', 3) } },
    KeyValue: { fields: { key: field('string', 1), value: field('AnyValue', 2) } },
    AnyValue: { fields: { string_value: field('string', 1) } },
  },
};

let found: protobuf.Type | undefined;
const exportType = (): protobuf.Type => (found ??= protobuf.Root.fromJSON(SCHEMA).lookupType('Export'));

export function encodeSpans(message: OtlpExport): Buffer {
  const type = exportType();
  return Buffer.from(type.encode(type.fromObject(message)).finish());
}

/** Throws on garbage. */
export function decodeSpans(bytes: Uint8Array): OtlpExport {
  const type = exportType();
  return type.toObject(type.decode(bytes), { longs: String, bytes: Buffer, arrays: true }) as OtlpExport;
}
