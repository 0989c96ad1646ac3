// What a listener logs, as plain data: compiled when xDS changes, bound to files and exporters by
// the data plane.
import { DEFAULT_FORMAT, DEFAULT_JSON, jsonFormat, textFormat } from './format.ts';
import type { LogFormat } from './format.ts';
import type { LogView } from './record.ts';

export interface AccessLogRule {
  /** Of a file; `-` is standard output. */
  readonly path: string;
  readonly format: LogFormat;
  /** Absent: every request. */
  readonly wants?: LogTest;
}

export type LogTest = (view: LogView) => boolean;

/** Every request, in Envoy's default format or as JSON. @param path of a file; `-` is standard output. */
export function plainAccessLog(path: string, format: 'text' | 'json'): AccessLogRule {
  return { path, format: format === 'json' ? jsonFormat(DEFAULT_JSON) : textFormat(DEFAULT_FORMAT) };
}
