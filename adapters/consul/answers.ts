// The shape of Consul's answers, as far as they matter here. What does not fit is no answer at all: the
// caller must take it for an outage, never for an empty list.
import { z } from 'zod';

const nullable = <S extends z.ZodType>(schema: S, empty: z.output<S>) =>
  schema.nullish().transform((value) => value ?? empty);

const locality = z.object({ Region: z.string().default(''), Zone: z.string().default('') });
const weight = z.int().min(0);

const entry = z.object({
  Node: z.object({
    Node: z.string(),
    Address: z.string(),
    Datacenter: z.string().default(''),
    Locality: locality.nullish(),
  }),
  Service: z.object({
    ID: z.string(),
    Service: z.string(),
    Address: z.string().default(''),
    /** Consul takes any number from everybody: one that is no port is that instance's fault, not the answer's. */
    Port: z.int().default(0),
    /** Consul 1.22 and later: several named ports; `Port` then repeats the default one. */
    Ports: nullable(
      z.array(z.object({ Name: z.string(), Port: z.int(), Default: z.boolean().default(false) })),
      [],
    ),
    Tags: nullable(z.array(z.string()), []),
    Meta: nullable(z.record(z.string(), z.string()), {}),
    Weights: nullable(z.object({ Passing: weight, Warning: weight }), { Passing: 1, Warning: 1 }),
    Locality: locality.nullish(),
  }),
  Checks: nullable(z.array(z.object({ CheckID: z.string(), Status: z.string() })), []),
});

/** /v1/catalog/services: tags by service name. */
export const catalogAnswer = z.record(z.string(), nullable(z.array(z.string()), []));
/** /v1/health/service/NAME */
export const healthAnswer = z.array(entry);
/** /v1/status/leader: HOST:PORT, empty while there is none. */
export const leaderAnswer = z.string();
/** /v1/catalog/datacenters */
export const datacentersAnswer = z.array(z.string().min(1)).min(1);
/** /v1/health/state/STATE: `ServiceName` is empty for a check of the node. */
export const checksAnswer = z.array(
  z.object({ Node: z.string(), CheckID: z.string(), ServiceName: z.string(), Status: z.string() }),
);

export type ConsulEntry = z.output<typeof entry>;
export type ConsulStateCheck = z.output<typeof checksAnswer>[number];
