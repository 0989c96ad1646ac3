// RouteMatch → a predicate on the request. Supports path, prefix, path_separated_prefix and text matches on
// headers; every other condition is refused, since a condition that is not read would match too much.
import type { HeaderMatcher__Output } from '../../proto/gen/types/envoy/config/route/v3/HeaderMatcher.ts';
import type { RouteMatch__Output } from '../../proto/gen/types/envoy/config/route/v3/RouteMatch.ts';
import type { StringMatcher__Output } from '../../proto/gen/types/envoy/type/matcher/v3/StringMatcher.ts';
import type { RequestKey } from '../keys.ts';
import { FieldRefusal, within } from './refusal.ts';

export type Predicate = (request: RequestKey) => boolean;
export type TextTest = (value: string) => boolean;

const UNSUPPORTED = [
  'query_parameters',
  'grpc',
  'runtime_fraction',
  'tls_context',
  'dynamic_metadata',
] as const satisfies readonly (keyof RouteMatch__Output)[];

/** @throws FieldRefusal */
export function compileMatch(message: RouteMatch__Output | undefined): Predicate {
  if (!message) throw new FieldRefusal('match', 'missing');
  for (const field of UNSUPPORTED) {
    const value = message[field];
    if (value && (!Array.isArray(value) || value.length > 0)) {
      throw new FieldRefusal(`match.${field}`, 'not supported');
    }
  }
  const path = compilePath(message);
  const headers = (message.headers ?? []).map((h, i) =>
    within(`match.headers[${i}]`, () => compileHeader(h)),
  );
  if (headers.length === 0) return path;
  return (request) => path(request) && headers.every((matches) => matches(request));
}

function compilePath(message: RouteMatch__Output): Predicate {
  // Absent means true, but an explicit false arrives as a wrapper without a value.
  const fold = message.case_sensitive !== undefined && message.case_sensitive.value !== true;
  const text = (value: string) => (fold ? value.toLowerCase() : value);
  const on =
    (test: TextTest): Predicate =>
    (request) =>
      test(text(withoutQuery(request.path)));
  switch (message.path_specifier) {
    case 'prefix': {
      const prefix = text(message.prefix ?? '');
      // CONNECT has no path, and only a matcher of its own is for it.
      if (prefix === '' || prefix === '/') return (request) => request.path !== '';
      return on((path) => path.startsWith(prefix));
    }
    case 'path': {
      const wanted = text(message.path ?? '');
      return on((path) => path === wanted);
    }
    case 'path_separated_prefix': {
      const prefix = text(message.path_separated_prefix ?? '');
      return on((path) => path === prefix || path.startsWith(`${prefix}/`));
    }
    case 'connect_matcher':
      return (request) => request.path === '';
    case 'safe_regex':
    case 'path_match_policy':
    case undefined:
  }
  throw new FieldRefusal(`match.${message.path_specifier ?? 'path_specifier'}`, 'not supported');
}

function withoutQuery(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

export function compileHeader(message: HeaderMatcher__Output): Predicate {
  const name = (message.name ?? '').toLowerCase();
  const read = headerReader(name);
  const invert = message.invert_match === true;
  if (message.header_match_specifier === undefined || message.header_match_specifier === 'present_match') {
    const wanted = (message.present_match ?? true) !== invert;
    return (request) => (read(request) !== '') === wanted;
  }
  const test = headerTest(message);
  // A missing header matches nothing, inverted or not, unless it is to be read as empty.
  const emptyIsValue = message.treat_missing_header_as_empty === true;
  return (request) => {
    const value = read(request);
    return (value !== '' || emptyIsValue) && test(value) !== invert;
  };
}

/** Reads one header; '' when the request has none. Throws FieldRefusal for a pseudo header that it cannot read. */
export function headerReader(name: string): (request: RequestKey) => string {
  if (name === '') throw new FieldRefusal('name', 'empty');
  if (name === ':authority' || name === 'host') return (request) => request.authority;
  if (name === ':path') return (request) => request.path;
  if (name.startsWith(':')) throw new FieldRefusal('name', `${name} is not supported`);
  return (request) => request.header(name);
}

function headerTest(message: HeaderMatcher__Output): TextTest {
  const { exact_match: exact, prefix_match: prefix, suffix_match: suffix, contains_match: part } = message;
  switch (message.header_match_specifier) {
    case 'exact_match':
      return (value) => value === exact;
    case 'prefix_match':
      return (value) => value.startsWith(prefix ?? '');
    case 'suffix_match':
      return (value) => value.endsWith(suffix ?? '');
    case 'contains_match':
      return (value) => value.includes(part ?? '');
    case 'string_match':
      return within('string_match', () => stringTest(message.string_match ?? {}));
    case 'present_match':
    case 'range_match':
    case 'safe_regex_match':
    case undefined:
  }
  throw new FieldRefusal(message.header_match_specifier ?? 'header_match_specifier', 'not supported');
}

/** @throws FieldRefusal */
export function stringTest(message: StringMatcher__Output): TextTest {
  const fold = message.ignore_case === true;
  const text = (value: string) => (fold ? value.toLowerCase() : value);
  switch (message.match_pattern) {
    case 'exact': {
      const wanted = text(message.exact ?? '');
      return (value) => text(value) === wanted;
    }
    case 'prefix': {
      const wanted = text(message.prefix ?? '');
      return (value) => text(value).startsWith(wanted);
    }
    case 'suffix': {
      const wanted = text(message.suffix ?? '');
      return (value) => text(value).endsWith(wanted);
    }
    case 'contains': {
      const wanted = text(message.contains ?? '');
      return (value) => text(value).includes(wanted);
    }
    case 'safe_regex':
    case 'custom':
    case undefined:
  }
  throw new FieldRefusal(message.match_pattern ?? 'match_pattern', 'not supported');
}
