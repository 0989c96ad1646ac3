// What replicas write about a source into the bucket of shards: one record per service, one about the source
// itself. Each carries the writer's fencing token. Long values are cut into parts that are written first.
// Bytes in, data out; nothing is trusted that does not parse.
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { contentHash } from '../../lib/hash.ts';
import type { Shard } from '../../model/shard.ts';
import { shardFrom, shardText } from '../shard-text.ts';
import { escapeKey, unescapeKey } from './bus.ts';

/** How the source's holder is doing. */
export interface SourceRecord {
  readonly token: number;
  /**
   * Revision of the first record under this token; absent in that one itself. A record with a lower token
   * that was written after it comes from a holder that did not know yet that it had lost the lease.
   */
  readonly since?: number;
  readonly kind: string;
  /** The claim under which it was written, see lease.ts. */
  readonly holder?: string;
  /** The holder's own watch has listed the source, and it answers. */
  readonly listed: boolean;
  /** The holder's own watch has listed the source at some time, though it may be dark now. */
  readonly wasListed?: boolean;
  /** Milliseconds since the epoch by the holder's clock; absent while it answers. */
  readonly darkSince?: number;
  readonly lastSuccess?: number;
  readonly cause: string;
}

export interface ShardRecord {
  readonly token: number;
  /** Of the shard's text: equal shards, equal hash, whoever wrote them. '' when the service is gone. */
  readonly hash: string;
  /**
   * undefined: the source no longer has the service. A record and not a removed key, because a removal has no
   * token: one by a holder that had lost the lease could not be told from a good one.
   */
  readonly shard: Shard | undefined;
}

/** A record that was too long: its bytes are in `parts` parts under partKey(). */
interface Envelope {
  readonly token: number;
  readonly hash: string;
  readonly parts: number;
}

/** A value and, when it is too long for one, the parts that have to be written before it. */
export interface Written {
  readonly hash: string;
  readonly value: Uint8Array;
  readonly parts: readonly Uint8Array[];
}

const WHOLE = 0;
const PARTED = 1;
const RAW_BELOW_BYTES = 512;

export const shardKey = (source: string, service: string): string =>
  `${escapeKey(source)}.${escapeKey(service)}`;
/** No service has an empty name. */
export const sourceKey = (source: string): string => shardKey(source, '');
/** What to watch for all of a source, in one order. */
export const allOf = (source: string): string => `${escapeKey(source)}.>`;
export const partKey = (source: string, service: string, hash: string, part: number): string =>
  `${shardKey(source, service)}.${hash}.${part}`;

/** The service that one of a source's keys is about, and whether it is a part. */
export function readKey(key: string): { readonly service: string; readonly isPart: boolean } {
  const [, service = '', ...rest] = key.split('.');
  return { service: unescapeKey(service), isPart: rest.length > 0 };
}

export function writeShard(shard: Shard, token: number, maxBytes: number): Written {
  const text = shardText(shard);
  const hash = contentHash(text);
  const body = pack(text);
  const head = { token, hash };
  if (body.length + 200 <= maxBytes) return { hash, value: frame(WHOLE, head, body), parts: [] };
  const parts: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += maxBytes) parts.push(body.subarray(at, at + maxBytes));
  const envelope: Envelope = { ...head, parts: parts.length };
  return { hash, value: frame(PARTED, envelope, new Uint8Array()), parts };
}

export function writeGone(token: number): Written {
  return { hash: '', value: frame(WHOLE, { token, hash: '' }, new Uint8Array()), parts: [] };
}

/** The hash that writeShard() would give. */
export function hashOf(shard: Shard): string {
  return contentHash(shardText(shard));
}

/** @param partsOf the bytes of a parted record by its hash; undefined when they are not all known. */
export function readShard(
  value: Uint8Array,
  partsOf: (hash: string, parts: number) => readonly Uint8Array[] | undefined,
): ShardRecord | undefined {
  const framed = unframe(value);
  if (!framed) return undefined;
  const { token, hash, parts } = framed.head as Partial<Envelope>;
  if (typeof token !== 'number' || typeof hash !== 'string') return undefined;
  if (hash === '') return { token, hash, shard: undefined };
  const body = framed.kind === WHOLE ? framed.body : joined(partsOf(hash, parts ?? 0));
  const text = body && unpack(body);
  if (text === undefined || contentHash(text) !== hash) return undefined;
  return { token, hash, shard: shardFrom(text) };
}

export const writeSource = (record: SourceRecord): Uint8Array => Buffer.from(JSON.stringify(record));

export function readSource(value: Uint8Array): SourceRecord | undefined {
  const record = parse(Buffer.from(value).toString()) as Partial<SourceRecord> | undefined;
  return record && typeof record.token === 'number' ? (record as SourceRecord) : undefined;
}

function pack(text: string): Buffer {
  const raw = Buffer.from(text);
  if (raw.length < RAW_BELOW_BYTES) return Buffer.concat([Buffer.of(0), raw]);
  return Buffer.concat([Buffer.of(1), deflateRawSync(raw, { level: constants.Z_BEST_SPEED })]);
}

function unpack(body: Uint8Array): string | undefined {
  try {
    const rest = body.subarray(1);
    return (body[0] === 1 ? inflateRawSync(rest) : Buffer.from(rest)).toString();
  } catch {
    return undefined;
  }
}

/** One byte for the kind, two for the length of the head, the head as JSON, the body. */
function frame(kind: number, head: object, body: Uint8Array): Uint8Array {
  const text = Buffer.from(JSON.stringify(head));
  return Buffer.concat([Buffer.of(kind, text.length >> 8, text.length & 0xff), text, body]);
}

function unframe(
  value: Uint8Array,
): { readonly kind: number; readonly head: object; readonly body: Uint8Array } | undefined {
  const [kind, high, low] = value;
  if (kind === undefined || high === undefined || low === undefined) return undefined;
  const end = 3 + high * 256 + low;
  const head = parse(Buffer.from(value.subarray(3, end)).toString());
  if (typeof head !== 'object' || head === null) return undefined;
  return { kind, head, body: value.subarray(end) };
}

function joined(parts: readonly Uint8Array[] | undefined): Uint8Array | undefined {
  return parts && Buffer.concat(parts);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
