// Reads access log messages: of each entry the few fields that say where a request went and how long that took,
// by hand from the wire. Paths, headers and addresses of clients are stepped over and never become text here.
import protobuf from 'protobufjs';
import { defineError } from '../../lib/errors.ts';

export const ACCESS_LOG_INVALID = defineError(
  'ISTHMUS_XDS_ACCESS_LOG_INVALID',
  (what: string) => `bad access log: ${what}`,
  { hint: 'The client speaks another protocol, or its messages are cut.' },
);

/** One request, as its last try went. */
export interface Entry {
  cluster: string;
  /** IP address; '' when the request was sent nowhere. */
  address: string;
  port: number;
  /** Microseconds to the first byte sent to the upstream, to the first byte from there, to the end; below 0: none. */
  sentUs: number;
  heardUs: number;
  endUs: number;
  /** It was given up for being late. */
  gaveUp: boolean;
  /** More is to come of the same request. */
  isPart: boolean;
}

export interface AccessLog {
  /** Encoded envoy.config.core.v3.Node; only in the first message. */
  readonly node: Uint8Array | undefined;
  /** Entries that were stepped over unread. */
  readonly skipped: number;
}

/** What to do with the fields of a message; all others are stepped over. */
interface Shape<T> {
  /** Those with a length: texts and messages. */
  readonly long?: Readonly<Record<number, (reader: protobuf.Reader, into: T) => void>>;
  /** Small numbers and booleans. */
  readonly small?: Readonly<Record<number, (value: number, into: T) => void>>;
}

const LENGTH = 2;
const VARINT = 0;

const into =
  <T>(shape: Shape<T>) =>
  (reader: protobuf.Reader, to: T): void =>
    readFields(reader, shape, to, endOf(reader));

/** envoy.config.core.v3.SocketAddress, in an Address. */
const SOCKET: Shape<Entry> = {
  long: { 2: (r, to) => (to.address = r.string()) },
  small: { 3: (port, to) => (to.port = port) },
};
const ADDRESS: Shape<Entry> = { long: { 1: into(SOCKET) } };

/** Of ResponseFlags: upstream time-out, client gone, idle, upstream too long, too long, client's reset. */
const LATE_FLAGS = [3, 15, 17, 20, 23, 28];
const FLAGS: Shape<Entry> = {
  small: Object.fromEntries(
    LATE_FLAGS.map((flag) => [flag, (set: number, to: Entry) => (to.gaveUp ||= set !== 0)]),
  ),
};

/** envoy.data.accesslog.v3.AccessLogCommon */
const COMMON: Shape<Entry> = {
  long: {
    7: (r, to) => (to.sentUs = readMicros(r)),
    9: (r, to) => (to.heardUs = readMicros(r)),
    13: into(ADDRESS),
    15: (r, to) => (to.cluster = r.string()),
    16: into(FLAGS),
    23: (r, to) => (to.endUs = readMicros(r)),
  },
  small: { 27: (part, to) => (to.isPart = part !== 0) },
};
const HTTP_ENTRY: Shape<Entry> = { long: { 1: into(COMMON) } };

/**
 * envoy.service.accesslog.v3.StreamAccessLogsMessage. Throws ISTHMUS_XDS_ACCESS_LOG_INVALID.
 * @param onEntry gets the same object each time. @param mayRead asked before each entry; false: it is skipped.
 */
export function readAccessLog(
  bytes: Uint8Array,
  onEntry: (entry: Readonly<Entry>) => void,
  mayRead: () => boolean,
): AccessLog {
  const log: Mutable<AccessLog> = { node: undefined, skipped: 0 };
  const entry: Entry = blank();
  const readEntry = (r: protobuf.Reader) => {
    if (!mayRead()) {
      log.skipped += 1;
      return void r.skipType(LENGTH);
    }
    Object.assign(entry, blank());
    readFields(r, HTTP_ENTRY, entry, endOf(r));
    onEntry(entry);
  };
  const message: Shape<Mutable<AccessLog>> = {
    long: {
      1: into({ long: { 1: (r, to: Mutable<AccessLog>) => (to.node = r.bytes()) } }),
      2: into({ long: { 1: readEntry } }),
    },
  };
  try {
    const reader = protobuf.Reader.create(bytes);
    readFields(reader, message, log, reader.len);
  } catch (cause) {
    throw ACCESS_LOG_INVALID.from(cause, 'it cannot be decoded');
  }
  return log;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const blank = (): Entry => ({
  cluster: '',
  address: '',
  port: 0,
  sentUs: -1,
  heardUs: -1,
  endUs: -1,
  gaveUp: false,
  isPart: false,
});

/** Nothing may run past `end`. */
function readFields<T>(reader: protobuf.Reader, { long, small }: Shape<T>, to: T, end: number): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    const [field, type] = [tag >>> 3, tag & 7];
    if (field === 0) throw new RangeError(`field number 0 at byte ${reader.pos}`);
    const readLong = type === LENGTH ? long?.[field] : undefined;
    const readSmall = type === VARINT ? small?.[field] : undefined;
    if (readLong) readLong(reader, to);
    else if (readSmall) readSmall(reader.uint32(), to);
    else reader.skipType(type);
  }
  if (reader.pos !== end) throw new RangeError(`field runs past the end of its message at byte ${end}`);
}

/** google.protobuf.Duration; below 0 for one that makes no sense. */
function readMicros(reader: protobuf.Reader): number {
  const end = endOf(reader);
  let us = 0;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 8) us += reader.int32() * 1e6;
    else if (tag === 16) us += reader.int32() / 1000;
    else reader.skipType(tag & 7);
  }
  return us;
}

function endOf(reader: protobuf.Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError(`message of ${length} bytes runs past the end`);
  return end;
}
