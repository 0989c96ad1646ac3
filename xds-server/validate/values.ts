// The rules of protoc-gen-validate for one value, compiled from a field's options: strings, bytes, numbers,
// enums, durations. All kinds that the .proto files we speak make use of; an unknown kind is an error when
// the rule is compiled, so that a newer .proto cannot bring one that is silently skipped.
import type { Enum } from 'protobufjs';

/** As scripts/proto.mjs writes them: by kind, then by rule. */
export type Rules = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** What is wrong with a value; undefined when nothing is. */
export type ValueCheck = (value: unknown) => string | undefined;

type Compile = (rule: unknown, all: Readonly<Record<string, unknown>>) => ValueCheck | undefined;

const always = (good: (value: unknown) => boolean, text: string): ValueCheck => {
  return (value) => (good(value) ? undefined : text);
};

const list = (rule: unknown): readonly unknown[] => (Array.isArray(rule) ? rule : [rule]);
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
/** In code points. */
const lengthOf = (value: unknown): number => Array.from(textOf(value)).length;
const bytesOf = (value: unknown): number =>
  value instanceof Uint8Array ? value.length : Buffer.byteLength(textOf(value));

const isLong = (value: unknown): value is { toNumber(): number } =>
  typeof value === 'object' && value !== null && 'toNumber' in value;

/** Longs have a number in them, all but exact: bounds in the .proto files are far from 2^53. */
function numberOf(value: unknown): number {
  if (typeof value === 'number') return value;
  return isLong(value) ? value.toNumber() : Number(value ?? 0);
}

const HEADER_NAME = /^:?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+$/;
const HEADER_VALUE = /^[\t\P{Cc}\x80-\x9f]*$/u;
const NOT_STRICT = /^[^\0\n\r]*$/;

const STRING: Readonly<Record<string, Compile>> = {
  min_len: (n) => always((v) => lengthOf(v) >= Number(n), `shorter than ${String(n)}`),
  max_len: (n) => always((v) => lengthOf(v) <= Number(n), `longer than ${String(n)}`),
  min_bytes: (n) => always((v) => bytesOf(v) >= Number(n), `shorter than ${String(n)} bytes`),
  max_bytes: (n) => always((v) => bytesOf(v) <= Number(n), `longer than ${String(n)} bytes`),
  pattern: (source) => {
    const pattern = new RegExp(String(source), 'u');
    return always((v) => pattern.test(textOf(v)), `does not match ${String(source)}`);
  },
  in: (allowed) => always((v) => list(allowed).includes(v), `not one of ${list(allowed).join(', ')}`),
  not_in: (banned) => always((v) => !list(banned).includes(v), `one of ${list(banned).join(', ')}`),
  well_known_regex: (name, { strict = true }) => {
    const exact = name === 'HTTP_HEADER_NAME' ? HEADER_NAME : HEADER_VALUE;
    const pattern = strict === false ? NOT_STRICT : exact;
    return always((v) => pattern.test(textOf(v)), `no ${String(name)}`);
  },
  strict: () => undefined,
  ignore_empty: () => undefined,
};

const BYTES: Readonly<Record<string, Compile>> = {
  min_len: (n) => always((v) => bytesOf(v) >= Number(n), `shorter than ${String(n)} bytes`),
  max_len: (n) => always((v) => bytesOf(v) <= Number(n), `longer than ${String(n)} bytes`),
};

const NUMBER: Readonly<Record<string, Compile>> = {
  const: (n) => always((v) => numberOf(v) === Number(n), `not ${String(n)}`),
  lt: (n) => always((v) => numberOf(v) < Number(n), `not less than ${String(n)}`),
  lte: (n) => always((v) => numberOf(v) <= Number(n), `more than ${String(n)}`),
  gt: (n) => always((v) => numberOf(v) > Number(n), `not more than ${String(n)}`),
  gte: (n) => always((v) => numberOf(v) >= Number(n), `less than ${String(n)}`),
  in: (allowed) => always((v) => list(allowed).map(Number).includes(numberOf(v)), 'not one that is allowed'),
  not_in: (banned) =>
    always((v) => !list(banned).map(Number).includes(numberOf(v)), 'one that is not allowed'),
};

/** Seconds as a number: bounds in the .proto files are whole nanoseconds that a double holds. */
export function secondsOf(value: unknown): number {
  const { seconds = 0, nanos = 0 } = (value ?? {}) as { seconds?: unknown; nanos?: unknown };
  return numberOf(seconds) + numberOf(nanos) / 1e9;
}

const DURATION: Readonly<Record<string, Compile>> = {
  lt: (d) => always((v) => secondsOf(v) < secondsOf(d), `not less than ${secondsOf(d)} s`),
  lte: (d) => always((v) => secondsOf(v) <= secondsOf(d), `more than ${secondsOf(d)} s`),
  gt: (d) => always((v) => secondsOf(v) > secondsOf(d), `not more than ${secondsOf(d)} s`),
  gte: (d) => always((v) => secondsOf(v) >= secondsOf(d), `less than ${secondsOf(d)} s`),
  required: () => undefined,
};

const BOOL: Readonly<Record<string, Compile>> = {
  const: (wanted) => always((v) => v === wanted, `not ${String(wanted)}`),
};

const BY_KIND: Readonly<Record<string, Readonly<Record<string, Compile>>>> = {
  string: STRING,
  bytes: BYTES,
  duration: DURATION,
  bool: BOOL,
  ...Object.fromEntries(
    ['float', 'double', 'int32', 'int64', 'uint32', 'uint64'].map((kind) => [kind, NUMBER] as const),
  ),
};

/** Rules that say nothing of the value itself: see fields.ts. */
const ELSEWHERE: ReadonlySet<string> = new Set(['message', 'repeated', 'map', 'any']);

/** @param values of the enum, when the field is of one. Throws on a kind of rule it does not know. */
export function compileValue(rules: Rules, values: Enum | undefined): readonly ValueCheck[] {
  return Object.entries(rules).flatMap(([kind, ofKind]) => {
    if (ELSEWHERE.has(kind)) return [];
    if (kind === 'enum') return enumChecks(ofKind, values);
    const known = BY_KIND[kind];
    const checks = Object.entries(ofKind).flatMap(([rule, argument]) => {
      const compile = known?.[rule];
      if (!compile) throw new Error(`rule ${kind}.${rule} is not known`);
      return compile(argument, ofKind) ?? [];
    });
    if (ofKind['ignore_empty'] !== true) return checks;
    return checks.map(
      (check) => (value: unknown) => (value === '' || value === 0 ? undefined : check(value)),
    );
  });
}

function enumChecks(rules: Readonly<Record<string, unknown>>, values: Enum | undefined): ValueCheck[] {
  return Object.entries(rules).map(([rule, argument]) => {
    const listed = list(argument).map(Number);
    if (rule === 'defined_only') {
      return always((v) => values?.valuesById[Number(v)] !== undefined, 'no value of the enum');
    }
    if (rule === 'not_in') return always((v) => !listed.includes(Number(v)), 'a value that is not allowed');
    throw new Error(`rule enum.${rule} is not known`);
  });
}
