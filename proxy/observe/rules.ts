// What a listener logs, as plain data: compiled when xDS changes, bound to files and streams by the data plane.
import { DEFAULT_FORMAT, DEFAULT_JSON, jsonFormat, textFormat } from './format.ts';
import type { LogFormat } from './format.ts';
import type { LogView } from './record.ts';
import type { TagRule } from './tracer.ts';

export type AccessLogRule = FileLogRule | StreamLogRule;

interface Wanting {
  /** Absent: every request. */
  readonly wants?: LogTest;
}

export interface FileLogRule extends Wanting {
  /** Of a file; `-` is standard output. */
  readonly path: string;
  readonly format: LogFormat;
}

/** Envoy's gRPC access log service. */
export interface StreamLogRule extends Wanting {
  readonly kind: 'http' | 'tcp';
  /** By which the server tells logs apart. */
  readonly logName: string;
  /** Of the service. */
  readonly cluster: string;
  /** Go with each stream. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Entries wait so long, or until about so many bytes are there. */
  readonly flushMs: number;
  readonly bufferBytes: number;
  /** Names of fields that an entry quotes, in lower case. */
  readonly requestFields: readonly string[];
  readonly responseFields: readonly string[];
  readonly tags: readonly TagRule[];
}

export type LogTest = (view: LogView) => boolean;

/** Every request, in Envoy's default format or as JSON. @param path of a file; `-` is standard output. */
export function plainAccessLog(path: string, format: 'text' | 'json'): FileLogRule {
  return { path, format: format === 'json' ? jsonFormat(DEFAULT_JSON) : textFormat(DEFAULT_FORMAT) };
}
