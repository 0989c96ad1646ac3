// The layout `json`: one JSON object an instance, our own plain form for registries that hold any text
// (etcd, ZooKeeper). Its fields are described in docs/sources/etcd.md. Pure.
import { z } from 'zod';
import { bad, readInstance } from './instance.ts';
import type { InstanceOptions, Reading } from './instance.ts';
import { healthFromWord, labelsOf } from './metadata.ts';

const portNumber = z.int().min(1).max(65_535);
const namedPort = z.union([
  portNumber.transform((port) => ({ port, protocol: '' })),
  z.object({ port: portNumber, protocol: z.string().default('') }),
]);

const instance = z
  .object({
    address: z.string(),
    port: portNumber.optional(),
    /** By name. */
    ports: z.record(z.string().min(1), namedPort).default({}),
    protocol: z.string().default(''),
    weight: z.number().min(0).optional(),
    health: z.string().default(''),
    labels: z.record(z.string(), z.unknown()).default({}),
    region: z.string().default(''),
    zone: z.string().default(''),
    primary: z.string().default(''),
  })
  .refine(({ port, ports }) => port !== undefined || Object.keys(ports).length > 0, 'neither port nor ports');

export const JSON_EXPECTED = '{"address":"10.0.0.1","port":8080}';

export function readJsonInstance(text: string, options: InstanceOptions): Reading {
  const value = parseJson(text);
  if (value === undefined) return bad('it is not JSON');
  const parsed = instance.safeParse(value);
  if (!parsed.success) return bad(firstIssue(parsed.error));
  const said = parsed.data;
  const named = Object.entries(said.ports).map(([name, port]) => ({ name, ...port }));
  const own = said.port === undefined ? [] : [{ name: '', port: said.port, protocol: said.protocol }];
  return readInstance(
    {
      ...said,
      host: said.address,
      ports: [...own, ...named],
      health: healthFromWord(said.health),
      labels: labelsOf(said.labels),
    },
    options,
  );
}

/** undefined when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `port: expected number, …`: what is wrong first, and where. */
export function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  const at = issue && issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
  return `${at}${issue?.message ?? 'wrong shape'}`;
}
