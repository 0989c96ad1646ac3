// Envoy's command operators (%NAME(argument):length%) over one record. Compiled when a format is; each is a
// function of the record and gives a text, a number, or nothing. Those that would need what this proxy does
// not know are not here, so that a format with them is refused.
import { hostname } from 'node:os';
import { flagLongText, flagText } from '../flags.ts';
import { detailsOf } from './details.ts';
import { dateFormat } from './dates.ts';
import type { LogView, StreamRecord } from './record.ts';

/** undefined: printed as `-`, in JSON as null. */
export type Operator = (view: LogView) => string | number | undefined;

const text = (value: string): string | undefined => (value === '' ? undefined : value);
const whole = (ms: number): number | undefined =>
  Number.isNaN(ms) ? undefined : Math.max(0, Math.floor(ms));
const port = (value: number): string | undefined => (value === 0 ? undefined : String(value));
const at = (address: string, portOf: number): string => `${hostPart(address)}:${portOf}`;
const hostPart = (address: string): string => (address.includes(':') ? `[${address}]` : address);

/** `10.0.0.7:80` → `10.0.0.7`, `[::1]:80` → `::1`. */
const addressOf = (key: string): string => key.slice(0, key.lastIndexOf(':')).replace(/^\[|\]$/g, '');
const portOf = (key: string): string => key.slice(key.lastIndexOf(':') + 1);

const of =
  (read: (record: StreamRecord) => string | number | undefined): Operator =>
  ({ record }) =>
    read(record);

const client = of((r) => at(r.client, r.clientPort));
const clientAddress = of((r) => text(r.client));
const clientPort = of((r) => port(r.clientPort));
const local = of((r) => (r.local === '' ? undefined : at(r.local, r.localPort)));
const upstream = of((r) => text(r.upstream));
const upstreamAddress = of((r) => text(addressOf(r.upstream)));
const upstreamPort = of((r) => text(portOf(r.upstream)));
const cluster = of((r) => text(r.cluster));

const PLAIN: Readonly<Record<string, Operator>> = {
  PROTOCOL: (view) => text(view.protocol),
  RESPONSE_CODE: of((r) => r.status),
  RESPONSE_CODE_DETAILS: of((r) => text(detailsOf(r))),
  RESPONSE_FLAGS: of((r) => text(flagText(r.flags))),
  RESPONSE_FLAGS_LONG: of((r) => text(flagLongText(r.flags))),
  BYTES_RECEIVED: of((r) => r.receivedBytes),
  BYTES_SENT: of((r) => r.sentBytes),
  DURATION: of((r) => whole(r.endAt - r.startAt)),
  REQUEST_DURATION: of((r) => whole(r.requestAt - r.startAt)),
  RESPONSE_DURATION: of((r) => whole(r.responseAt - r.startAt)),
  RESPONSE_TX_DURATION: of((r) => whole(r.endAt - r.responseAt)),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: of((r) => r.attempts),
  UPSTREAM_HOST: upstream,
  UPSTREAM_REMOTE_ADDRESS: upstream,
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: upstreamAddress,
  UPSTREAM_REMOTE_PORT: upstreamPort,
  UPSTREAM_LOCAL_ADDRESS: of((r) => text(r.upstreamLocal)),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: of((r) => text(addressOf(r.upstreamLocal))),
  UPSTREAM_LOCAL_PORT: of((r) => text(portOf(r.upstreamLocal))),
  UPSTREAM_CLUSTER: cluster,
  UPSTREAM_CLUSTER_RAW: cluster,
  UPSTREAM_TRANSPORT_FAILURE_REASON: of((r) => text(r.connectFailure)),
  DOWNSTREAM_REMOTE_ADDRESS: client,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: clientAddress,
  DOWNSTREAM_REMOTE_PORT: clientPort,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: client,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: clientAddress,
  DOWNSTREAM_DIRECT_REMOTE_PORT: clientPort,
  DOWNSTREAM_LOCAL_ADDRESS: local,
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: of((r) => text(r.local)),
  DOWNSTREAM_LOCAL_PORT: of((r) => port(r.localPort)),
  CONNECTION_ID: of((r) => r.connectionId),
  ROUTE_NAME: of((r) => text(r.routeName)),
  LOCAL_REPLY_BODY: of((r) => text(r.localBody)),
  TRACE_ID: of((r) => text(r.span?.traceId ?? '')),
  SPAN_ID: of((r) => text(r.span?.spanId ?? '')),
  STREAM_ID: (view) => text(view.header('x-request-id')),
};

const METHOD: Operator = (view) => text(view.method);
const PATH: Operator = (view) => text(view.path);
const AUTHORITY: Operator = (view) => text(view.authority);
const STATUS: Operator = of((r) => (r.status === 0 ? undefined : String(r.status)));
const PSEUDO: Readonly<Record<string, Operator>> = {
  ':method': METHOD,
  method: METHOD,
  ':path': PATH,
  path: PATH,
  ':authority': AUTHORITY,
  authority: AUTHORITY,
  ':scheme': (view) => text(view.header('x-forwarded-proto') || 'http'),
};

function requestField(name: string): Operator {
  if (name.startsWith(':')) return PSEUDO[name] ?? (() => undefined);
  return (view) => text(view.header(name));
}

const responseField = (name: string): Operator =>
  name === ':status' ? STATUS : (view) => text(view.responseHeader(name));

const NAME = /^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** `X-A` or `X-A?X-B`: the second when the first is absent. */
function headers(argument: string | undefined, read: (name: string) => Operator): Operator | undefined {
  const names = (argument ?? '').split('?');
  const [first = '', second] = names.map((name) => name.toLowerCase());
  if (names.length > 2 || !NAME.test(first)) return undefined;
  const one = read(first);
  if (second === undefined) return one;
  if (!NAME.test(second === 'path' ? ':path' : second)) return undefined;
  const other = read(second === 'path' ? ':path' : second);
  return (view) => one(view) ?? other(view);
}

function withoutQuery(operator: Operator | undefined): Operator | undefined {
  if (!operator) return undefined;
  return (view) => {
    const value = operator(view);
    return typeof value === 'string' ? value.split('?', 1)[0] : value;
  };
}

const GRPC_NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
];

/** Of a status in the head of the response; trailers are passed on unread. */
const grpcNumber: Operator = (view) => {
  const code = view.responseHeader('grpc-status');
  return /^\d{1,2}$/.test(code) ? Number(code) : undefined;
};
const grpcStatus: Operator = (view) => {
  const code = grpcNumber(view);
  return typeof code === 'number' ? (GRPC_NAMES[code] ?? String(code)) : undefined;
};

const WITH_ARGUMENT: Readonly<Record<string, (argument: string | undefined) => Operator | undefined>> = {
  REQ: (argument) => headers(argument, requestField),
  REQUEST_HEADER: (argument) => headers(argument, requestField),
  REQ_WITHOUT_QUERY: (argument) => withoutQuery(headers(argument, requestField)),
  RESP: (argument) => headers(argument, responseField),
  RESPONSE_HEADER: (argument) => headers(argument, responseField),
  START_TIME: (argument) => {
    const format = dateFormat(argument ?? '');
    return format && of((r) => format(r.startedMs));
  },
  GRPC_STATUS: () => grpcStatus,
  GRPC_STATUS_NUMBER: () => grpcNumber,
  HOSTNAME: (argument) => (argument === undefined ? constant(hostname()) : undefined),
  ENVIRONMENT: (argument) => (argument ? constant(process.env[argument] ?? '') : undefined),
};

const constant =
  (value: string): Operator =>
  () =>
    text(value);

/** undefined: not known here, or its argument makes no sense. */
export function operatorOf(name: string, argument: string | undefined): Operator | undefined {
  const plain = Object.hasOwn(PLAIN, name) ? PLAIN[name] : undefined;
  if (plain) return argument === undefined ? plain : undefined;
  return Object.hasOwn(WITH_ARGUMENT, name) ? WITH_ARGUMENT[name]?.(argument) : undefined;
}
