// Trace contexts in request heads: W3C (traceparent, tracestate) as Envoy's OpenTelemetry tracer reads and writes
// them, and B3, in one field or several, which Envoy's leaves alone. What comes in one form goes on in the same; a
// request without any gets W3C's, and one whose context cannot be read passes as it came, without a span.
import { randomBytes } from 'node:crypto';
import type { RequestHead } from '../http/request-head.ts';

export interface SpanContext {
  /** 32 and 16 hex digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** '' without one. */
  readonly parentId: string;
  readonly sampled: boolean;
  /** tracestate as it came; '' without. */
  readonly state: string;
  readonly form: 'w3c' | 'b3' | 'b3-multi';
  /** B3: the trace's id as it came, which may be of 16 digits, and whether it is a debug trace. */
  readonly b3Id?: string;
  readonly b3Debug?: boolean;
}

export type ParentContext = Omit<SpanContext, 'parentId'>;

const W3C = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/i;
const B3 = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d]))?(?:-[0-9a-f]{16})?$/i;
const B3_FIELDS = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})$/i;
const ZEROS = /^0+$/;

/** Fields of each form; a span of ours stands in place of what came under them. */
const FIELDS: Readonly<Record<SpanContext['form'], readonly string[]>> = {
  w3c: ['traceparent', 'tracestate'],
  b3: ['b3'],
  'b3-multi': ['x-b3-traceid', 'x-b3-spanid', 'x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags'],
};
const FORMS = Object.values(FIELDS);

/**
 * The caller's context; 'none' without one, 'unreadable' when there is one of which nothing can be made.
 * @param ours whether this proxy traces the request: who does not, takes its trace out of the sample, as Envoy does.
 */
export function extract(head: RequestHead, ours: boolean): ParentContext | 'none' | 'unreadable' {
  const parent = head.header('traceparent');
  if (parent !== '') return fromW3c(parent, head.header('tracestate'), ours);
  const single = head.header('b3');
  if (single !== '') return fromB3(B3.exec(single), 'b3', ours);
  const trace = head.header('x-b3-traceid');
  if (trace === '') return 'none';
  const said = head.header('x-b3-flags') === '1' ? 'd' : head.header('x-b3-sampled');
  const parts = B3_FIELDS.exec(`${trace}-${head.header('x-b3-spanid')}`);
  return fromB3(parts && [...parts, said], 'b3-multi', ours);
}

function fromW3c(parent: string, state: string, ours: boolean): ParentContext | 'unreadable' {
  const [, traceId, spanId, flags = ''] = W3C.exec(parent) ?? [];
  if (traceId === undefined || spanId === undefined || isZero(traceId, spanId)) return 'unreadable';
  const sampled = ours && (Number.parseInt(flags, 16) & 1) === 1;
  return { traceId: traceId.toLowerCase(), spanId: spanId.toLowerCase(), sampled, state, form: 'w3c' };
}

/** @param parts the whole, the trace, the span, and what it says of sampling. */
function fromB3(
  parts: readonly (string | undefined)[] | null,
  form: 'b3' | 'b3-multi',
  ours: boolean,
): ParentContext | 'unreadable' {
  const [, trace, span, said = ''] = parts ?? [];
  if (trace === undefined || span === undefined || isZero(trace, span)) return 'unreadable';
  const b3Id = trace.toLowerCase();
  return {
    traceId: b3Id.padStart(32, '0'),
    spanId: span.toLowerCase(),
    sampled: said === 'd' || (ours && (said === '' || said === '1' || said === 'true')),
    state: '',
    form,
    b3Id,
    b3Debug: said === 'd',
  };
}

const isZero = (...ids: readonly string[]): boolean => ids.some((id) => ZEROS.test(id));

/** A span below the caller's, or of a trace of its own. */
export function childOf(parent: ParentContext | 'none', sampled: boolean): SpanContext {
  const spanId = randomBytes(8).toString('hex');
  if (parent !== 'none') return { ...parent, parentId: parent.spanId, spanId };
  const traceId = randomBytes(16).toString('hex');
  return { traceId, spanId, parentId: '', sampled, state: '', form: 'w3c' };
}

/** Puts the span in place of the caller's. A tracestate without a traceparent is nobody's, and is dropped. */
export function inject(head: RequestHead, span: SpanContext): void {
  head.fields.dropNamed(FIELDS[span.form]);
  head.newFields += fieldsOf(span);
}

function fieldsOf(span: SpanContext): string {
  const { traceId, spanId, parentId, state, b3Id = traceId } = span;
  const flag = span.sampled ? '1' : '0';
  switch (span.form) {
    case 'w3c': {
      const more = state === '' ? '' : `\r\ntracestate: ${state}`;
      return `\r\ntraceparent: 00-${traceId}-${spanId}-0${flag}${more}`;
    }
    case 'b3':
      return `\r\nb3: ${b3Id}-${spanId}-${span.b3Debug ? 'd' : flag}-${parentId}`;
    case 'b3-multi':
      return (
        `\r\nx-b3-traceid: ${b3Id}\r\nx-b3-spanid: ${spanId}\r\nx-b3-parentspanid: ${parentId}` +
        (span.b3Debug ? '\r\nx-b3-flags: 1' : `\r\nx-b3-sampled: ${flag}`)
      );
  }
}

/** Of a head that was read once more: what came under the names of a span that was put on it is not there. */
export function dropReplaced(head: RequestHead, newFields: string): void {
  for (const fields of FORMS) {
    if (newFields.includes(`\r\n${fields[0] ?? ''}: `)) head.fields.dropNamed(fields);
  }
}
