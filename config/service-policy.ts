// The resource ServicePolicy: how one service's sources are merged. Its shape only; files are read in
// resources.ts.
import { z } from 'zod';
import { API_VERSION, metadata, nameIn } from './metadata.ts';
import { ruleFields } from './policy.ts';
import { registrationFields } from './registration.ts';
import { trafficFields } from './traffic.ts';

export const servicePolicy = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('ServicePolicy'),
  metadata,
  spec: z.strictObject({
    /** With its namespace after the last dot, or without: the resource's namespace then, else `default`. */
    service: z.string().min(1),
    ...ruleFields,
    ...trafficFields,
    ...registrationFields,
  }),
});

export type ServicePolicy = z.infer<typeof servicePolicy>;

export const serviceOf = ({ metadata: about, spec }: ServicePolicy): string => nameIn(spec.service, about);
