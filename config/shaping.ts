// The fields by which every kind of source can be cut to size: what takes part, and under which names,
// labels and addresses. adapters/shape.ts carries them out.
import { z } from 'zod';
import { isCongruent, parseCidr } from '../lib/cidr.ts';

const globs = z.array(z.string().min(1));
/** Label or meta values by name; values are patterns. */
const labelGlobs = z.record(z.string().min(1), z.string());

/** One `*` at most, so that what it stands for is beyond doubt. */
const oneStar = z
  .string()
  .min(1)
  .refine((text) => !/\*.*\*/s.test(text), 'a service name with at most one *');

const rename = z.record(oneStar, oneStar).superRefine((rules, context) => {
  for (const [from, to] of Object.entries(rules)) {
    if (!to.includes('*') || from.includes('*')) continue;
    const message = `a name without *, because "${from}" has none`;
    context.addIssue({ code: 'custom', message, path: [from] });
  }
});

const cidr = z.string().superRefine((text, context) => {
  const parsed = parseCidr(text);
  if ('fault' in parsed) context.addIssue({ code: 'custom', message: parsed.fault });
});

const addressRule = z.strictObject({ from: cidr, to: cidr }).superRefine(({ from, to }, context) => {
  const [a, b] = [parseCidr(from), parseCidr(to)];
  if ('fault' in a || 'fault' in b || isCongruent(a.cidr, b.cidr)) return;
  const message = `a range of the same family and prefix length as ${from}`;
  context.addIssue({ code: 'custom', message, path: ['to'] });
});

export const shapingFields = {
  /** What takes part. Names as the registry has them, before `rename`. */
  include: z
    .strictObject({
      services: globs.default(['*']),
      namespaces: globs.default(['*']),
      /** Endpoints that carry all of them. */
      tags: globs.default([]),
      /** Endpoints that carry all of them. */
      labels: labelGlobs.default({}),
    })
    .prefault({}),
  /** What does not, of what is included: any match is enough. */
  exclude: z
    .strictObject({
      services: globs.default([]),
      namespaces: globs.default([]),
      tags: globs.default([]),
      labels: labelGlobs.default({}),
    })
    .prefault({}),
  /** New service names by old ones; the first rule that matches counts. */
  rename: rename.default({}),
  /** More names for a service, by its (new) name. */
  aliases: z.record(z.string().min(1), z.array(z.string().min(1))).default({}),
  /** Old label by new label: a copy under another name. */
  labels: z.record(z.string().min(1), z.string().min(1)).default({}),
  /** Addresses behind a translation; the first range that holds the address counts. */
  addresses: z.array(addressRule).default([]),
};

export type Shaping = z.infer<z.ZodObject<typeof shapingFields>>;
