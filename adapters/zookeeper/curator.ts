// An instance of Curator's ServiceDiscovery (JsonInstanceSerializer), with the payload that Spring Cloud
// ZooKeeper puts in it, or any other. Pure.
import { z } from 'zod';
import type { Health } from '../../model/endpoint.ts';
import { bad, readInstance } from '../instance.ts';
import type { InstanceOptions, Reading } from '../instance.ts';
import { firstIssue, parseJson } from '../json-instance.ts';
import { healthFromWord, isObject, readMetadata } from '../metadata.ts';

const port = z.int().nullish();

const curator = z.object({
  address: z.string(),
  port,
  sslPort: port,
  payload: z.unknown().optional(),
  /** Curator 2.11 and later; false: taken out. */
  enabled: z.boolean().default(true),
});

export function readCurator(text: string, options: InstanceOptions): Reading {
  const value = parseJson(text);
  if (value === undefined) return bad(text === '' ? 'it is empty' : 'it is not JSON');
  const parsed = curator.safeParse(value);
  if (!parsed.success) return bad(firstIssue(parsed.error));
  const said = parsed.data;
  const metadata = readMetadata(metadataOf(said.payload));
  const ports = [
    ...(said.port ? [{ name: '', port: said.port, protocol: metadata.protocol }] : []),
    ...(said.sslPort ? [{ name: 'https', port: said.sslPort, protocol: 'https' }] : []),
  ];
  return readInstance(
    { ...metadata, host: said.address, ports, health: healthOf(said.enabled, metadata.labels) },
    options,
  );
}

/** Spring Cloud wraps its metadata; others put theirs directly. */
function metadataOf(payload: unknown): unknown {
  if (!isObject(payload)) return undefined;
  if (isObject(payload['metadata'])) return payload['metadata'];
  const { '@class': _, ...own } = payload;
  return own;
}

/** Spring Cloud's `setStatus` writes the metadata `instance_status`. */
function healthOf(enabled: boolean, labels: Readonly<Record<string, string>>): Health {
  return enabled ? healthFromWord(labels['instance_status'] ?? '') : 'draining';
}
