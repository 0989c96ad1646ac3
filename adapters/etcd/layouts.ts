// The layouts of an etcd prefix: which service a key belongs to, and what its value says. Pure.
// grpc-naming: what go.etcd.io/etcd/client/v3/naming/endpoints writes. skydns: SkyDNS, CoreDNS's plugin etcd.
import { z } from 'zod';
import type { EtcdSource } from '../../config/schema.ts';
import { NOTHING, bad, readInstance, serviceFromPath } from '../instance.ts';
import type { InstanceOptions, Reading, ServiceKey } from '../instance.ts';
import { JSON_EXPECTED, firstIssue, parseJson, readJsonInstance } from '../json-instance.ts';
import { readMetadata } from '../metadata.ts';

export interface Layout {
  /** What a key and its value should have looked like: for an error message. */
  readonly expected: string;
  /** @param path the key without the prefix. undefined: it names no service. */
  service(path: string): ServiceKey | undefined;
  read(value: string, options: InstanceOptions): Reading;
}

/** @param prefix ends with a slash. */
export function layoutOf(layout: EtcdSource['layout'], prefix: string): Layout {
  switch (layout) {
    case 'grpc-naming':
      return {
        expected: `${prefix}SERVICE/ID with {"Op":0,"Addr":"10.0.0.1:8080","Metadata":…}`,
        service: serviceOfPath,
        read: readGrpcNaming,
      };
    case 'skydns':
      return {
        expected: `${prefix}…/SERVICE/ID with {"host":"10.0.0.1","port":8080}`,
        service: (path) => skydnsService(prefix, path),
        read: readSkydns,
      };
    case 'json':
      return {
        expected: `${prefix}SERVICE/ID with ${JSON_EXPECTED}`,
        service: serviceOfPath,
        read: readJsonInstance,
      };
  }
}

/** SERVICE/ID or NAMESPACE/…/SERVICE/ID. */
function serviceOfPath(path: string): ServiceKey | undefined {
  const segments = path.split('/');
  return segments.pop() === '' ? undefined : serviceFromPath(segments);
}

const grpcNaming = z.object({
  /** 0 adds, 1 deletes; only additions are meant to be stored. */
  Op: z.number().default(0),
  Addr: z.string(),
  Metadata: z.unknown().optional(),
});

function readGrpcNaming(text: string, options: InstanceOptions): Reading {
  const value = parseJson(text);
  if (value === undefined) return bad('it is not JSON');
  const parsed = grpcNaming.safeParse(value);
  if (!parsed.success) return bad(firstIssue(parsed.error));
  const { Op, Addr, Metadata } = parsed.data;
  if (Op === 1) return NOTHING;
  const match = /^(\[[^\]]+\]|[^:[\]]+):(\d{1,5})$/.exec(Addr.trim());
  if (!match) return bad(`Addr "${Addr.slice(0, 80)}" is not HOST:PORT`);
  const { protocol, ...metadata } = readMetadata(Metadata);
  const port = { name: '', port: Number(match[2]), protocol: protocol || 'grpc' };
  return readInstance({ host: match[1] ?? '', ports: [port], ...metadata }, options);
}

const skydns = z.object({
  host: z.string(),
  port: z.int().default(0),
  priority: z.number().optional(),
  weight: z.number().min(0).default(0),
  text: z.string().default(''),
  group: z.string().default(''),
});

function readSkydns(text: string, options: InstanceOptions): Reading {
  const value = parseJson(text);
  if (value === undefined) return bad('it is not JSON');
  const parsed = skydns.safeParse(value);
  if (!parsed.success) return bad(firstIssue(parsed.error));
  const { host, port, priority, weight, text: said, group } = parsed.data;
  const labels = {
    ...(priority === undefined ? {} : { priority: String(priority) }),
    ...(said === '' ? {} : { text: said }),
    ...(group === '' ? {} : { group }),
  };
  // In SkyDNS a weight of 0 is one that was not set.
  return readInstance(
    { host, ports: [{ name: '', port, protocol: '' }], weight: weight || undefined, labels },
    options,
  );
}

/** /skydns/local/cluster/shop/orders/1: a record of orders.shop.cluster.local. */
function skydnsService(prefix: string, path: string): ServiceKey | undefined {
  const key = serviceOfPath(path);
  if (!key) return undefined;
  const [, ...labels] = `${prefix}${path}`.replace(/^\//, '').split('/').slice(0, -1);
  return { ...key, aliases: [labels.reverse().join('.')] };
}
