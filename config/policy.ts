// How sources are merged, as it is written: for all services in the config (`merge:`), for one service in a
// ServicePolicy. One schema for both, so that a field means the same in either place.
import { z } from 'zod';
import { parseCidr } from '../lib/cidr.ts';
import { DEFAULT_RULES } from '../model/rules.ts';
import type { MergePolicy, ServiceRules } from '../model/rules.ts';
import type { RegistrationFields } from './registration.ts';
import { trafficFrom } from './traffic.ts';
import type { TrafficFields } from './traffic.ts';

const FORMS = 'union, isolate, {prefer: [SOURCE, …]} or {weighted: {SOURCE: SHARE, …}}';

const cidr = z.string().superRefine((text, context) => {
  const parsed = parseCidr(text);
  if ('fault' in parsed) context.addIssue({ code: 'custom', message: parsed.fault });
});

const policy = z.unknown().transform((value, context): MergePolicy => {
  const fault = (message: string, path: readonly (string | number)[] = []): MergePolicy => {
    context.addIssue({ code: 'custom', message, path: [...path] });
    return DEFAULT_RULES.policy;
  };
  if (value === 'union' || value === 'isolate') return { kind: value };
  if (!isRecord(value)) return fault(FORMS);
  const [form, ...more] = Object.keys(value);
  if (more.length > 0) return fault(FORMS);
  if (form === 'prefer') return preferOf(value[form], fault);
  if (form === 'weighted') return weightedOf(value[form], fault);
  return fault(FORMS);
});

type Fault = (message: string, path?: readonly (string | number)[]) => MergePolicy;

function preferOf(value: unknown, fault: Fault): MergePolicy {
  const sources = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (sources.length === 0) return fault('a list of sources, the best one first', ['prefer']);
  const odd = sources.findIndex((source, index) => !isName(source) || sources.indexOf(source) !== index);
  if (odd >= 0) return fault('the name of a source, each one once', ['prefer', odd]);
  return { kind: 'prefer', sources: sources.filter(isName) };
}

/** `{a: 90, b: 10}`: shares of any sum; `[{source: a, percent: 90}, …]`: the sum is 100. */
function weightedOf(value: unknown, fault: Fault): MergePolicy {
  const percents = Array.isArray(value);
  const entries = percents ? percentEntries(value, fault) : isRecord(value) ? Object.entries(value) : [];
  if (!entries) return DEFAULT_RULES.policy;
  const shares: Record<string, number> = {};
  for (const [index, [source, share]] of entries.entries()) {
    const path = ['weighted', percents ? index : source];
    if (!isShare(share)) return fault('a share from 0 up', path);
    if (Object.hasOwn(shares, source)) return fault('each source once', path);
    shares[source] = share;
  }
  const sum = Object.values(shares).reduce((total, share) => total + share, 0);
  if (!(sum > 0)) return fault('at least one share above 0', ['weighted']);
  if (percents && Math.abs(sum - 100) > 1e-6) return fault('percents that add up to 100', ['weighted']);
  return { kind: 'weighted', shares };
}

function percentEntries(list: readonly unknown[], fault: Fault): readonly [string, unknown][] | undefined {
  const entries: [string, unknown][] = [];
  for (const [index, entry] of list.entries()) {
    const fields = isRecord(entry) ? Object.keys(entry).sort().join() : '';
    if (!isRecord(entry) || fields !== 'percent,source' || !isName(entry['source'])) {
      fault('{source: NAME, percent: NUMBER}', ['weighted', index]);
      return undefined;
    }
    entries.push([entry['source'], entry['percent']]);
  }
  return entries;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isName = (value: unknown): value is string => typeof value === 'string' && value !== '';

const MAX_SHARE = 1_000_000;
const isShare = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= MAX_SHARE;

/** Fields that are not given are taken from the config's `merge`, and there from DEFAULT_RULES. */
export const ruleFields = {
  policy: policy.optional(),
  /** Two services at one address: `permissive` serves both, `strict` neither until one is proven. */
  identity: z.enum(['permissive', 'strict']).optional(),
  /** Percent of ready endpoints below which data planes send to all. */
  panicThreshold: z
    .number()
    .refine((value) => value >= 0 && value <= 100, 'a percentage, 0 to 100')
    .optional(),
  /** `service@source` clusters beside the merged one. */
  pin: z.boolean().optional(),
  /** Ranges in which several services may share an address and port. */
  sharedAddresses: z.array(cidr).optional(),
};

export type RuleFields = z.infer<z.ZodObject<typeof ruleFields>>;

/** Ranges add up; of everything else, what is given counts. */
export function rulesFrom(
  fields: RuleFields & TrafficFields & RegistrationFields,
  base: ServiceRules = DEFAULT_RULES,
): ServiceRules {
  const traffic = trafficFrom(fields);
  const panicThreshold = fields.panicThreshold ?? base.panicThreshold;
  return {
    policy: fields.policy ?? base.policy,
    identity: fields.identity ?? base.identity,
    pin: fields.pin ?? base.pin,
    sharedAddresses: [...base.sharedAddresses, ...(fields.sharedAddresses ?? [])],
    ...(panicThreshold === undefined ? {} : { panicThreshold }),
    ...(traffic && { traffic }),
    ...(fields.registration && { registration: fields.registration }),
  };
}

/** Sources that a policy names, each with its place below `policy`. */
export function sourcesNamedBy(
  policy: MergePolicy,
): readonly (readonly [string, readonly (string | number)[]])[] {
  if (policy.kind === 'prefer') return policy.sources.map((source, index) => [source, ['prefer', index]]);
  if (policy.kind === 'weighted')
    return Object.keys(policy.shares).map((source) => [source, ['weighted', source]]);
  return [];
}
