// The file in which one source's shards outlive the process: lines of JSON. A header says whose it is, each shard
// has a line, and a footer has the number of shards and the SHA-256 of all bytes before it, so that a file that
// was torn, or is not ours, is told from a good one. Pure; holds only what sources say, never the config.
import type { Shard } from '../../model/shard.ts';
import { shardText } from '../shard-text.ts';

export const FORMAT = 'isthmus-last-known-good';
/** Raised when an older Isthmus could not read the file. */
export const VERSION = 1;

export interface Header {
  readonly format: typeof FORMAT;
  readonly version: number;
  readonly source: string;
  readonly kind: string;
  /** Milliseconds since the epoch; the source was alive then, unless `darkSince` is earlier. */
  readonly writtenAt: number;
  /** Of this writing, for the lines beside it (more.ts); '' where there are none, as before those were. */
  readonly id: string;
}

export interface Written {
  readonly bytes: number;
  /** Of this writing; see Header. */
  readonly id: string;
}

export interface Footer {
  readonly shards: number;
  readonly sha256: string;
}

export const lineOf = (value: unknown): string => `${JSON.stringify(value)}\n`;

export const shardLine = (shard: Shard): string => `${shardText(shard)}\n`;

/** The header, or what is wrong with it. */
export function readHeader(line: string, source: string, kind: string): Header | string {
  const header = parsed(line);
  if (header?.['format'] !== FORMAT) return 'it is no file of ours';
  const { version, writtenAt, id = '' } = header;
  if (typeof version !== 'number' || version > VERSION) {
    return `it was written by a newer Isthmus (version ${String(version)}, this one reads up to ${VERSION})`;
  }
  if (header['source'] !== source || header['kind'] !== kind) {
    return `it is of ${String(header['kind'])} source "${String(header['source'])}", not of ${kind} source "${source}"`;
  }
  if (typeof writtenAt !== 'number') return 'it does not say when it was written';
  return { format: FORMAT, version, source, kind, writtenAt, id: String(id) };
}

/** undefined when the line is no footer. */
export function readFooter(line: string): Footer | undefined {
  const footer = parsed(line);
  const { shards, sha256 } = footer ?? {};
  return typeof shards === 'number' && typeof sha256 === 'string' ? { shards, sha256 } : undefined;
}

function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
