// Which requests are traced, by Envoy's rules (the id of a request carries the decision), and what is said of one:
// a span with Envoy's name and attributes.
import type { RequestHead } from '../http/request-head.ts';
import { flagText } from '../flags.ts';
import type { OtlpAttribute, OtlpSpan } from '../../proto/otlp.ts';
import type { LogView, StreamRecord } from './record.ts';
import { childOf, extract, inject } from './propagation.ts';
import type { SpanContext } from './propagation.ts';
import { reasonOf, sampleNumber, setReason } from './request-id.ts';
import type { TraceReason } from './request-id.ts';

/** What a connection manager says of traces. Parts are 0…1. */
export interface TracingRules {
  readonly client: number;
  readonly random: number;
  readonly overall: number;
  /** Of the path in `http.url`, in characters. */
  readonly maxPath: number;
  readonly serviceName: string;
  readonly to: ExportTo;
  /** Attributes beside Envoy's own. */
  readonly tags?: readonly TagRule[];
}

export interface TagRule {
  readonly tag: string;
  /** undefined: left out. */
  readonly read: (view: LogView) => string | undefined;
}

/** Where spans go: a URL, a path at a cluster over HTTP, or a cluster over gRPC. Fields go with each request. */
export type ExportTo =
  | { readonly url: string }
  | {
      readonly cluster: string;
      readonly path: string;
      readonly host: string;
      readonly fields: readonly (readonly [name: string, value: string])[];
      readonly timeoutMs: number;
    }
  | {
      readonly grpc: string;
      readonly fields: readonly (readonly [name: string, value: string])[];
      readonly timeoutMs: number;
    };

/** How many requests were traced, by the reason; `none`: not. */
export type TraceCounts = Record<TraceReason, number>;
export const noTraces = (): TraceCounts => ({ none: 0, sampled: 0, forced: 0, client: 0 });

/** Numbers of opentelemetry.proto.trace.v1.Span.SpanKind and Status.StatusCode. */
const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;

/**
 * Decides, marks the request's id, and puts the span on the head and the record: none when the caller's context
 * cannot be read. @param inside the caller is one to trust.
 */
export function startSpan(
  head: RequestHead,
  rules: TracingRules,
  inside: boolean,
  counts: TraceCounts,
  record: StreamRecord,
): void {
  const reason = decide(head, rules, inside);
  counts[reason] += 1;
  record.traced = reason !== 'none';
  const parent = extract(head, record.traced);
  if (parent === 'unreadable') return;
  record.span = childOf(parent, record.traced);
  inject(head, record.span);
}

/** As Envoy's connection manager: client, forced, random; overall has the last word. */
function decide(head: RequestHead, rules: TracingRules, inside: boolean): TraceReason {
  const number = sampleNumber(head);
  if (number < 0) return 'none';
  let reason = reasonOf(head);
  if (reason === 'none') {
    if (head.header('x-client-trace-id') !== '' && Math.random() < rules.client) reason = 'client';
    else if (inside && head.header('x-envoy-force-trace') !== '') reason = 'forced';
    else if (number < rules.random * 10_000) reason = 'sampled';
  }
  if (number >= rules.overall * 10_000) reason = 'none';
  setReason(head, reason);
  return reason;
}

export interface SpanMaker {
  readonly node: string;
  readonly zone: string;
  /** Requests go out from here, by the listener's direction. */
  readonly outbound: boolean;
}

const text = (key: string, value: string): OtlpAttribute => ({ key, value: { string_value: value } });
const optional = (key: string, value: string): readonly OtlpAttribute[] =>
  value === '' ? [] : [text(key, value)];
/** Nanoseconds of a time in ms. */
const nanos = (ms: number): string => `${Math.round(ms * 1_000)}000`;
const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');

export function spanOf(view: LogView, span: SpanContext, rules: TracingRules, by: SpanMaker): OtlpSpan {
  const { record } = view;
  const failed = record.status === 0 || record.status >= 500;
  const name = record.operation || (by.outbound ? `egress ${view.authority}` : 'ingress');
  return {
    trace_id: bytes(span.traceId),
    span_id: bytes(span.spanId),
    ...(span.parentId !== '' && { parent_span_id: bytes(span.parentId) }),
    ...(span.state !== '' && { trace_state: span.state }),
    name,
    kind: by.outbound ? CLIENT : SERVER,
    start_time_unix_nano: nanos(record.startedMs),
    end_time_unix_nano: nanos(record.startedMs + Math.max(0, record.endAt - record.startAt)),
    attributes: [...attributesOf(view, rules, by), ...(failed ? [text('error', 'true')] : [])],
    ...(failed && { status: { code: ERROR } }),
  };
}

/** Envoy's, and the address that was asked, which Envoy has in a span of its own. */
function attributesOf(view: LogView, rules: TracingRules, by: SpanMaker): readonly OtlpAttribute[] {
  const { record } = view;
  const scheme = view.header('x-forwarded-proto') || 'http';
  const path = (view.header('x-envoy-original-path') || view.path).slice(0, rules.maxPath);
  return [
    text('node_id', by.node),
    text('zone', by.zone),
    text('guid:x-request-id', view.header('x-request-id')),
    ...optional('guid:x-client-trace-id', view.header('x-client-trace-id')),
    text('http.url', `${scheme}://${view.authority}${path}`),
    text('http.method', view.method),
    text('downstream_cluster', view.header('x-envoy-downstream-service-cluster') || '-'),
    text('user_agent', view.header('user-agent') || '-'),
    text('http.protocol', view.protocol || '-'),
    text('peer.address', record.client),
    text('request_size', String(record.receivedBytes)),
    text('response_size', String(record.sentBytes)),
    text('component', 'proxy'),
    ...optional('upstream_cluster', record.cluster),
    ...optional('upstream_cluster.name', record.cluster),
    ...optional('upstream_address', record.upstream),
    text('http.status_code', String(record.status)),
    text('response_flags', flagText(record.flags)),
    ...(rules.tags ?? []).flatMap(({ tag, read }) => {
      const value = read(view);
      return value === undefined ? [] : [text(tag, value)];
    }),
  ];
}
