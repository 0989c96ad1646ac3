// What a data plane says of the service beside it: `node.metadata.isthmus.register`. Whether it is believed is
// decided where it becomes an endpoint (adapters/sidecar), not here.
import { isIP } from 'node:net';
import type { Locality } from '../model/endpoint.ts';
import { APP_CHECKS } from '../model/sidecars.ts';
import type { AppCheck, Registration } from '../model/sidecars.ts';
import type { Struct__Output } from '../proto/gen/types/google/protobuf/Struct.ts';
import type { Value__Output } from '../proto/gen/types/google/protobuf/Value.ts';

type Fields = Readonly<Record<string, Value__Output>>;

export interface Beside {
  readonly service: string;
  /** Where the inbound listener is. */
  readonly port: number;
  readonly appPort: number;
  readonly locality: Locality;
}

const MAX_LABELS = 64;
const MAX_TEXT = 512;

/**
 * undefined: it does not register.
 * @throws Error naming the field under `metadata.isthmus.register` that makes no sense.
 */
export function registrationOf(
  metadata: Struct__Output | undefined,
  beside: Beside,
): Registration | undefined {
  const register = metadata?.fields?.isthmus?.structValue?.fields?.register?.structValue;
  // Nothing said of itself is a registration, too.
  if (!register) return undefined;
  const fields = register.fields ?? {};
  const address = textOf(fields, 'address');
  if (address !== '' && isIP(address) === 0) throw new Error(`address is "${address}", not an IP address`);
  const healthPath = textOf(fields, 'healthPath') || '/';
  if (!/^\/[\x21-\x7e]*$/.test(healthPath)) throw new Error(`healthPath is "${healthPath}", not a path`);
  const check = checkOf(fields.check?.structValue?.fields ?? {});
  return {
    ...beside,
    address,
    healthPath,
    ...weightOf(fields),
    protocol: textOf(fields, 'protocol'),
    labels: labelsOf(fields),
    ...(check && { check }),
  };
}

/** Nothing when it does not say. */
function weightOf(fields: Fields): { readonly weight?: number } {
  const weight = fields.weight?.numberValue;
  if (weight === undefined) return {};
  if (!Number.isInteger(weight) || weight < 1 || weight > 65_535) {
    throw new Error(`weight is ${weight}, not a whole number from 1 to 65535`);
  }
  return { weight };
}

/** `check: {how, intervalMs, timeoutMs, rise, fall}`, all of them optional. */
function checkOf(fields: Fields): Partial<AppCheck> | undefined {
  const { how: said, ...numbers } = fields;
  const how = APP_CHECKS.find((known) => known === said?.stringValue);
  if (said && !how) throw new Error(`check.how is not one of ${APP_CHECKS.join(', ')}`);
  const check: Record<string, number> = {};
  for (const [name, { least, most }] of Object.entries(CHECK_LIMITS)) {
    const value = numbers[name]?.numberValue;
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new Error(`check.${name} is ${value}, not a whole number from ${least} to ${most}`);
    }
    check[name] = value;
  }
  if (!how && Object.keys(check).length === 0) return undefined;
  return { ...(how && { how }), ...check };
}

const CHECK_LIMITS: Readonly<Record<Exclude<keyof AppCheck, 'how'>, { least: number; most: number }>> = {
  intervalMs: { least: 100, most: 600_000 },
  timeoutMs: { least: 10, most: 600_000 },
  rise: { least: 1, most: 100 },
  fall: { least: 1, most: 100 },
};

function textOf(fields: Fields, name: string): string {
  const text = fields[name]?.stringValue ?? '';
  if (text.length > MAX_TEXT) throw new Error(`${name} is longer than ${MAX_TEXT} characters`);
  return text;
}

function labelsOf(fields: Fields): Readonly<Record<string, string>> {
  const entries = Object.entries(fields.labels?.structValue?.fields ?? {});
  if (entries.length > MAX_LABELS) throw new Error(`labels are more than ${MAX_LABELS}`);
  return Object.fromEntries(
    entries.map(([name, value]): [string, string] => {
      const text = value.stringValue ?? '';
      if (name.length + text.length > MAX_TEXT) throw new Error(`labels.${name.slice(0, 40)} is too long`);
      return [name, text];
    }),
  );
}
