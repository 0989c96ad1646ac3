// Log formats: Envoy's text with operators in it, and JSON whose values are such texts. Compiled once; a line
// is made by joining what the operators say.
import { defineError } from '../../lib/errors.ts';
import { operatorOf } from './operators.ts';
import type { Operator } from './operators.ts';
import type { LogView } from './record.ts';

/** A whole line, with its end where the format has one. One character a byte, as heads are: a log writes it as Latin-1. */
export type LogFormat = (view: LogView) => string;

/** A JSON value of a format: texts may hold operators. */
export type Template =
  | null
  | boolean
  | number
  | string
  | readonly Template[]
  | { readonly [key: string]: Template };

export const LOG_FORMAT = defineError('ISTHMUS_PROXY_LOG_FORMAT', (why: string) => why, {
  hint: 'docs/proxy.md lists the operators that the proxy knows.',
});

/** Envoy's default format of the access log. */
export const DEFAULT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% ' +
  '%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% ' +
  '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/** What `--access-log-format json` writes. */
export const DEFAULT_JSON: Template = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER%',
};

const COMMAND = /%%|%([A-Z0-9_]+)(?:\((.*?)\))?(?::(\d+))?%/g;

type Part = string | Operator;

/** The UTF-8 of a text that is ours, one character a byte. */
const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** @throws LOG_FORMAT */
function partsOf(text: string): readonly Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (const match of text.matchAll(COMMAND)) {
    const before = text.slice(from, match.index);
    if (before.includes('%')) throw LOG_FORMAT(`"${before}" has a % that begins no operator`);
    if (before !== '') parts.push(bytesOf(before));
    parts.push(match[0] === '%%' ? '%' : commandOf(match));
    from = match.index + match[0].length;
  }
  const rest = text.slice(from);
  if (rest.includes('%')) throw LOG_FORMAT(`"${rest}" has a % that begins no operator`);
  if (rest !== '') parts.push(bytesOf(rest));
  return parts;
}

function commandOf([whole, name = '', argument, length]: RegExpMatchArray): Operator {
  const operator = operatorOf(name, argument);
  if (!operator) throw LOG_FORMAT(`${whole} is not supported`);
  if (length === undefined) return operator;
  const most = Number(length);
  return (view) => {
    const value = operator(view);
    return value === undefined ? undefined : String(value).slice(0, most);
  };
}

/** @param absent what stands for a value that is not there. @throws LOG_FORMAT */
export function textFormat(text: string, absent = '-'): LogFormat {
  const parts = partsOf(text);
  return (view) => {
    let line = '';
    for (const part of parts) line += typeof part === 'string' ? part : (part(view) ?? absent);
    return line;
  };
}

/**
 * One object a line, keys in order. A value that is one operator alone keeps its type; null when absent, or
 * left out. @throws LOG_FORMAT
 */
export function jsonFormat(template: Template, omitEmpty = false): LogFormat {
  const make = valueOf(template, omitEmpty);
  return (view) => `${make(view) ?? '{}'}\n`;
}

/** JSON text; undefined: left out. */
type Json = (view: LogView) => string | undefined;

function valueOf(template: Template, omitEmpty: boolean): Json {
  if (typeof template === 'string') return stringOf(template, omitEmpty);
  if (template === null || typeof template !== 'object') {
    const fixed = JSON.stringify(template);
    return () => fixed;
  }
  if (isList(template)) {
    const items = template.map((item) => valueOf(item, omitEmpty));
    return (view) => `[${items.map((item) => item(view) ?? 'null').join(',')}]`;
  }
  const fields = Object.keys(template)
    .sort((a, b) => (a < b ? -1 : 1))
    .map((key) => ({ key: bytesOf(JSON.stringify(key)), make: valueOf(template[key] ?? null, omitEmpty) }));
  return (view) => {
    let out = '';
    for (const { key, make } of fields) {
      const value = make(view);
      if (value !== undefined) out += `${out === '' ? '' : ','}${key}:${value}`;
    }
    return `{${out}}`;
  };
}

const isList = (template: object): template is readonly Template[] => Array.isArray(template);

function stringOf(text: string, omitEmpty: boolean): Json {
  const parts = partsOf(text);
  const [only] = parts;
  if (parts.length === 1 && typeof only === 'function') {
    return (view) => {
      const value = only(view);
      if (value === undefined) return omitEmpty ? undefined : 'null';
      return JSON.stringify(value);
    };
  }
  const whole = textFormat(text, omitEmpty ? '' : '-');
  return (view) => JSON.stringify(whole(view));
}
