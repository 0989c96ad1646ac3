// Two older layouts: Twitter's serversets (Finagle, Aurora) and Airbnb's nerve (SmartStack). Pure.
import { z } from 'zod';
import type { Health } from '../../model/endpoint.ts';
import { bad, readInstance } from '../instance.ts';
import type { InstanceOptions, Reading } from '../instance.ts';
import { firstIssue, parseJson } from '../json-instance.ts';
import { labelsOf, readMetadata, weightOf } from '../metadata.ts';

const hostPort = z.object({ host: z.string(), port: z.int() });

const serverset = z.object({
  serviceEndpoint: hostPort,
  additionalEndpoints: z.record(z.string(), hostPort).nullish(),
  status: z.string().default(''),
  shard: z.number().nullish(),
  metadata: z.unknown().optional(),
});

/** Thrift's Status of com.twitter.thrift.endpoint. */
const STATUSES = new Map<string, Health>([
  ['ALIVE', 'healthy'],
  ['WARNING', 'degraded'],
  ['STARTING', 'unhealthy'],
  ['STOPPING', 'draining'],
  ['STOPPED', 'draining'],
  ['DEAD', 'unhealthy'],
]);

export function readServerset(text: string, options: InstanceOptions): Reading {
  const value = parseJson(text);
  if (value === undefined) return bad(text === '' ? 'it is empty' : 'it is not JSON');
  const parsed = serverset.safeParse(value);
  if (!parsed.success) return bad(firstIssue(parsed.error));
  const { serviceEndpoint, additionalEndpoints, status, shard, metadata } = parsed.data;
  const { host, port } = serviceEndpoint;
  // An instance has one address here: an additional endpoint on another host is left out.
  const others = Object.entries(additionalEndpoints ?? {}).filter(
    ([name, other]) => other.host === host && name !== '',
  );
  const { labels, protocol, ...rest } = readMetadata(metadata);
  return readInstance(
    {
      ...rest,
      host,
      ports: [
        { name: '', port, protocol },
        ...others.map(([name, other]) => ({ name, port: other.port, protocol: '' })),
      ],
      health: STATUSES.get(status.toUpperCase()) ?? 'unknown',
      labels: typeof shard === 'number' ? { ...labels, shard: String(shard) } : labels,
    },
    options,
  );
}

const nerve = z.object({
  host: z.string(),
  port: z.int(),
  name: z.string().nullish(),
  weight: z.unknown().optional(),
  labels: z.unknown().optional(),
});

export function readNerve(text: string, options: InstanceOptions): Reading {
  const value = parseJson(text);
  if (value === undefined) return bad(text === '' ? 'it is empty' : 'it is not JSON');
  const parsed = nerve.safeParse(value);
  if (!parsed.success) return bad(firstIssue(parsed.error));
  const { host, port, name, weight } = parsed.data;
  const { protocol, ...metadata } = readMetadata(parsed.data.labels);
  return readInstance(
    {
      ...metadata,
      host,
      ports: [{ name: '', port, protocol }],
      weight: weightOf(weight) ?? metadata.weight,
      labels: { ...labelsOf(parsed.data.labels), ...(name ? { name } : {}) },
    },
    options,
  );
}
