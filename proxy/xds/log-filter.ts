// AccessLogFilter → which requests a log wants. Values of a runtime are their defaults, since there is none.
import type { AccessLogFilter__Output } from '../../proto/gen/types/envoy/config/accesslog/v3/AccessLogFilter.ts';
import type { ComparisonFilter__Output } from '../../proto/gen/types/envoy/config/accesslog/v3/ComparisonFilter.ts';
import type { RuntimeFilter__Output } from '../../proto/gen/types/envoy/config/accesslog/v3/RuntimeFilter.ts';
import { FLAG_NAMES, Flag } from '../flags.ts';
import type { LogTest } from '../observe/rules.ts';
import { wholeOf } from './fraction.ts';
import { compileHeader } from './match.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';

/** @throws FieldRefusal */
export function compileLogFilter(message: AccessLogFilter__Output): LogTest {
  const kind = message.filter_specifier ?? 'filter_specifier';
  const { status_code_filter: status, duration_filter: duration, header_filter: header } = message;
  if (status) {
    const compare = within(kind, () => comparison(status.comparison));
    return ({ record }) => compare(record.status);
  }
  if (duration) {
    const compare = within(kind, () => comparison(duration.comparison));
    return ({ record }) => compare(Math.floor(record.endAt - record.startAt));
  }
  if (header) return within(`${kind}.header`, () => compileHeader(header.header ?? {}));
  if (message.response_flag_filter) return flags(message.response_flag_filter.flags ?? []);
  if (message.runtime_filter) return within(kind, () => sample(message.runtime_filter ?? {}));
  if (message.traceable_filter) return ({ record }) => record.traced;
  // No request is answered by a health check filter: there is none.
  if (message.not_health_check_filter) return () => true;
  return compound(message, kind);
}

/** As Envoy: by the front of the request's id, so that all proxies on the way log the same ones, or by chance. */
function sample(message: RuntimeFilter__Output): LogTest {
  assertOnly(message, ['runtime_key', 'percent_sampled', 'use_independent_randomness']);
  const { numerator = 0, ...percent } = message.percent_sampled ?? {};
  const all = wholeOf(percent);
  if (message.use_independent_randomness) return () => Math.random() * all < numerator;
  return (view) => {
    const id = view.header('x-request-id');
    const front =
      /^[0-9a-f]{8}-/i.test(id) && id.length === 36 ? Number.parseInt(id.slice(0, 8), 16) : undefined;
    return (front === undefined ? Math.random() * all : front % all) < numerator;
  };
}

function compound({ and_filter: and, or_filter: or }: AccessLogFilter__Output, kind: string): LogTest {
  if (and) {
    const all = allOf(kind, and.filters);
    return (view) => all.every((wants) => wants(view));
  }
  if (or) {
    const all = allOf(kind, or.filters);
    return (view) => all.some((wants) => wants(view));
  }
  throw new FieldRefusal(kind, 'not supported');
}

function allOf(kind: string, filters: readonly AccessLogFilter__Output[] = []): readonly LogTest[] {
  return filters.map((filter, i) => within(`${kind}.filters[${i}]`, () => compileLogFilter(filter)));
}

function comparison(message: ComparisonFilter__Output | undefined): (value: number) => boolean {
  const wanted = message?.value?.default_value ?? 0;
  const op = message?.op ?? 'EQ';
  switch (op) {
    case 'EQ':
      return (value) => value === wanted;
    case 'GE':
      return (value) => value >= wanted;
    case 'LE':
      return (value) => value <= wanted;
  }
  throw new FieldRefusal('comparison.op', 'not supported');
}

/** None named: any flag. */
function flags(names: readonly string[]): LogTest {
  if (names.length === 0) return ({ record }) => record.flags !== 0;
  let wanted = 0;
  for (const name of names) {
    // Flags that are never set here match nothing.
    const known = FLAG_NAMES.find((flag) => flag === name);
    if (known) wanted |= Flag[known];
  }
  return ({ record }) => (record.flags & wanted) !== 0;
}
