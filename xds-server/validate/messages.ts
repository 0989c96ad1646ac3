// The rules of a message type, compiled once from the descriptor: of each field, of required oneofs, and of
// everything inside, packed messages (Any) included. Collects all problems, each with its path.
import protobuf from 'protobufjs';
import type { Field, OneOf, Type } from 'protobufjs';
import { messageType, typeUrl } from '../../proto/codec.ts';
import type { Report } from './report.ts';
import { SEMANTICS } from './semantics.ts';
import { compileValue, secondsOf, textOf } from './values.ts';
import type { Rules, ValueCheck } from './values.ts';

type Message = Readonly<Record<string, unknown>>;
type MessageCheck = (message: Message, path: string, report: Report) => void;

const RULES = '(validate.rules)';
const REQUIRED = '(validate.required)';
const ANY = '.google.protobuf.Any';
const DURATION = '.google.protobuf.Duration';
/** google.protobuf.Duration: 10,000 years. */
const MAX_DURATION_S = 315_576_000_000;
const WRAPPER = /^\.google\.protobuf\.\w+Value$/;

const compiled = new Map<Type, MessageCheck>();

/** @param message as protobufjs decodes it, or makes it by fromObject(). */
export function checkMessage(type: Type, message: object, path: string, report: Report): void {
  checkOf(type)(message as Message, path, report);
}

function checkOf(type: Type): MessageCheck {
  let check = compiled.get(type);
  if (!check) {
    // Set before its fields are compiled: types contain themselves.
    const parts: MessageCheck[] = [];
    check = (message, path, report) => {
      for (const part of parts) part(message, path, report);
    };
    compiled.set(type, check);
    parts.push(...compileType(type));
  }
  return check;
}

function compileType(type: Type): MessageCheck[] {
  if (type.fullName === ANY) return [checkAny];
  if (type.fullName === DURATION) return [checkDuration];
  if (type.fullName.startsWith('.google.protobuf.')) return [];
  const semantic = SEMANTICS[type.fullName.slice(1)];
  return [
    ...type.oneofsArray.flatMap((oneof) => (oneof.options?.[REQUIRED] === true ? [checkOneof(oneof)] : [])),
    ...type.fieldsArray.flatMap((field) => compileField(field.resolve())),
    ...(semantic ? [semantic] : []),
  ];
}

function checkOneof({ name, oneof }: OneOf): MessageCheck {
  return (message, path, report) => {
    if (!oneof.some((field) => isSet(message, field))) report(at(path, name), 'none of them is set');
  };
}

function compileField(field: Field): MessageCheck[] {
  const rules = (field.options?.[RULES] ?? {}) as Rules;
  if (field instanceof protobuf.MapField) return compileMap(field, rules);
  if (field.repeated) return compileRepeated(field, rules);
  const inner = compileItem(field, rules);
  const required = [rules['message'], rules['duration'], rules['any']].some((r) => r?.['required'] === true);
  const { name } = field;
  // Rules of a plain scalar hold for its default too; one in a oneof, and a message, may be absent.
  const optional = field.partOf !== null || field.resolvedType instanceof protobuf.Type;
  if (inner.length === 0 && !required) return [];
  return [
    (message, path, report) => {
      if (optional && !isSet(message, name)) {
        // Of a oneof, the other member may be the one that is set.
        if (required && !field.partOf) report(at(path, name), 'is required');
        return;
      }
      for (const check of inner) check(message[name], at(path, name), report);
    },
  ];
}

type ItemCheck = (value: unknown, path: string, report: Report) => void;

/** One value of the field, be it the field itself or an item of it. */
function compileItem(field: Field, rules: Rules): ItemCheck[] {
  const type = field.resolvedType;
  const values = compileValue(rules, type instanceof protobuf.Enum ? type : undefined);
  if (!(type instanceof protobuf.Type)) return values.map(reported);
  if (WRAPPER.test(type.fullName) && type.fullName !== '.google.protobuf.Value') {
    const inside = type.fields['value'];
    return values.map(
      (check) => (value, path, report) =>
        reported(check)((value as Message)['value'] ?? inside?.defaultValue, path, report),
    );
  }
  const checks = values.map(reported);
  // Looked up when it is met: types contain themselves.
  if (hasChecks(type)) checks.push((value, path, report) => checkOf(type)(value as Message, path, report));
  return checks;
}

const reported =
  (check: ValueCheck): ItemCheck =>
  (value, path, report) => {
    const problem = check(value);
    if (problem !== undefined) report(path, problem);
  };

function compileRepeated(field: Field, { repeated = {}, ...others }: Rules): MessageCheck[] {
  const { min_items: min, max_items: max, unique, items } = repeated;
  const inner = compileItem(field, (items ?? others) as Rules);
  const { name } = field;
  if (inner.length === 0 && min === undefined && max === undefined && unique !== true) return [];
  return [
    (message, path, report) => {
      const list = (message[name] ?? []) as readonly unknown[];
      if (min !== undefined && list.length < Number(min))
        report(at(path, name), `less than ${Number(min)} items`);
      if (max !== undefined && list.length > Number(max))
        report(at(path, name), `more than ${Number(max)} items`);
      if (unique === true && new Set(list).size < list.length) report(at(path, name), 'has an item twice');
      if (inner.length === 0) return;
      list.forEach((value, index) => {
        for (const check of inner) check(value, `${at(path, name)}[${index}]`, report);
      });
    },
  ];
}

function compileMap(field: Field, { map = {} }: Rules): MessageCheck[] {
  const keys = compileValue((map['keys'] ?? {}) as Rules, undefined);
  const inner = compileItem(field, (map['values'] ?? {}) as Rules);
  const min = Number(map['min_pairs'] ?? 0);
  const { name } = field;
  if (keys.length === 0 && inner.length === 0 && min === 0) return [];
  return [
    (message, path, report) => {
      const entries = Object.entries((message[name] ?? {}) as Message);
      if (entries.length < min) report(at(path, name), `less than ${min} entries`);
      for (const [key, value] of entries) {
        const place = `${at(path, name)}["${key}"]`;
        for (const check of keys) reported(check)(key, place, report);
        for (const check of inner) check(value, place, report);
      }
    },
  ];
}

const reachable = new Map<Type, boolean>();

/** Some rule stands in the type or in anything it can hold. */
function hasChecks(type: Type): boolean {
  const known = reachable.get(type);
  if (known !== undefined) return known;
  const seen = new Set<Type>();
  const open = [type];
  for (let next = open.pop(); next; next = open.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    if (hasOwnChecks(next)) {
      reachable.set(type, true);
      return true;
    }
    for (const field of next.fieldsArray) {
      const inner = field.resolve().resolvedType;
      if (inner instanceof protobuf.Type) open.push(inner);
    }
  }
  reachable.set(type, false);
  return false;
}

const hasOwnChecks = (type: Type): boolean =>
  type.fullName === ANY ||
  type.fullName === DURATION ||
  SEMANTICS[type.fullName.slice(1)] !== undefined ||
  type.oneofsArray.some((oneof) => oneof.options?.[REQUIRED] === true) ||
  type.fieldsArray.some((field) => field.options?.[RULES] !== undefined);

const TYPE_PREFIX = typeUrl('');

/** What is packed is checked like the rest, if it is of a type that we know. */
const checkAny: MessageCheck = (any, path, report) => {
  const url = textOf(any['type_url']);
  const type = url.startsWith(TYPE_PREFIX) ? knownType(url.slice(TYPE_PREFIX.length)) : undefined;
  if (!type) return;
  const inside = `${path}<${type.name}>`;
  let message: object;
  try {
    message = type.decode(any['value'] instanceof Uint8Array ? any['value'] : new Uint8Array());
  } catch {
    report(inside, 'cannot be decoded');
    return;
  }
  checkMessage(type, message, inside, report);
};

function knownType(name: string): Type | undefined {
  try {
    return messageType(name);
  } catch {
    return undefined;
  }
}

const checkDuration: MessageCheck = (duration, path, report) => {
  // A negative one is valid protobuf; Envoy refuses it wherever it reads a duration.
  const seconds = secondsOf(duration);
  if (!(seconds >= 0 && seconds <= MAX_DURATION_S)) report(path, 'no duration that could be waited for');
};

const isSet = (message: Message, field: string): boolean =>
  Object.hasOwn(message, field) && message[field] !== null && message[field] !== undefined;

const at = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);
