// The file in which one source's shards outlive the process: lines of JSON. A header says whose it is, each shard
// has a line, and a footer has the number of shards and the SHA-256 of all bytes before it, so that a file that
// was torn, or is not ours, is told from a good one. Pure; holds only what sources say, never the config.
import type { EndpointGroup } from '../../model/endpoint.ts';
import { NO_MARKS } from '../../model/shard.ts';
import type { EndpointMark, Shard } from '../../model/shard.ts';

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
}

export interface Footer {
  readonly shards: number;
  readonly sha256: string;
}

export const lineOf = (value: unknown): string => `${JSON.stringify(value)}\n`;

export function shardLine({ group, since, marks }: Shard): string {
  return lineOf(marks.size === 0 ? { group, since } : { group, since, marks: [...marks] });
}

/** The header, or what is wrong with it. */
export function readHeader(line: string, source: string, kind: string): Header | string {
  const header = parsed(line);
  if (header?.['format'] !== FORMAT) return 'it is no file of ours';
  const { version, writtenAt } = header;
  if (typeof version !== 'number' || version > VERSION) {
    return `it was written by a newer Isthmus (version ${String(version)}, this one reads up to ${VERSION})`;
  }
  if (header['source'] !== source || header['kind'] !== kind) {
    return `it is of ${String(header['kind'])} source "${String(header['source'])}", not of ${kind} source "${source}"`;
  }
  if (typeof writtenAt !== 'number') return 'it does not say when it was written';
  return { format: FORMAT, version, source, kind, writtenAt };
}

/** undefined when the line is no footer. */
export function readFooter(line: string): Footer | undefined {
  const footer = parsed(line);
  const { shards, sha256 } = footer ?? {};
  return typeof shards === 'number' && typeof sha256 === 'string' ? { shards, sha256 } : undefined;
}

/** Trusted: the sum was right, so these are the bytes that shardLine() wrote. */
export function readShard(line: string): Shard {
  const { group, since, marks } = JSON.parse(line) as {
    group: EndpointGroup;
    since: readonly number[];
    marks?: readonly (readonly [string, EndpointMark])[];
  };
  return { group, since, marks: marks ? new Map(marks) : NO_MARKS };
}

function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
