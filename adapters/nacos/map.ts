// Nacos's services and instances in the words of the catalogue. Pure; the tables are in README.md.
import type { EndpointGroup, Health } from '../../model/endpoint.ts';
import { bad, groupFromInstances, readInstance } from '../instance.ts';
import type { Instance, InstanceOptions, Reading, ServiceKey } from '../instance.ts';
import { readMetadata, weightOf } from '../metadata.ts';
import type { NacosInstance } from './answers.ts';
import { instanceKey } from './client.ts';
import type { Listed } from './client.ts';
import type { ServiceName } from './dialects.ts';

export interface MapOptions extends InstanceOptions {
  /** Whether instances of this cluster take part. */
  readonly inCluster: (name: string) => boolean;
}

export interface ReadService {
  readonly group: EndpointGroup;
  /** By key of the instance: what stands in when it is bad the next time. */
  readonly good: ReadonlyMap<string, Instance>;
  /** Why an instance cannot be used, by its key. */
  readonly bad: ReadonlyMap<string, string>;
}

const DEFAULT_GROUP = 'DEFAULT_GROUP';

/** Another group than the default one is a namespace: the same name in two groups is two services. */
export function serviceKey({ group, name }: ServiceName): ServiceKey {
  const namespace = group === DEFAULT_GROUP ? '' : group.replace(/[^a-z0-9_-]/gi, '-');
  return { name, namespace, aliases: [] };
}

/** What somebody switched off, or gave no weight, was taken out on purpose; that counts more than its health. */
export function healthOf({ enabled, healthy }: NacosInstance, weight: number): Health {
  if (enabled === false || weight === 0) return 'draining';
  if (healthy === true) return 'healthy';
  return healthy === false ? 'unhealthy' : 'unknown';
}

/** @param before of the same service, as it was read last. */
export function readService(
  service: Listed,
  said: readonly NacosInstance[],
  options: MapOptions,
  before: ReadonlyMap<string, Instance> = new Map(),
): ReadService {
  const allIll = service.asForCallers && service.healthy === 0;
  // Nacos promises no order; equal content must give an equal group.
  const sorted = said
    .filter(({ clusterName }) => options.inCluster(clusterName))
    .map((instance) => [instanceKey(instance), allIll ? { ...instance, healthy: false } : instance] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const weights = wholeWeights(sorted.map(([, { weight }]) => weightOf(weight) ?? 1));
  const good = new Map<string, Instance>();
  const faults = new Map<string, string>();
  sorted.forEach(([key, instance], index) => {
    const reading = readNacosInstance(instance, weights[index] ?? 1, options);
    const held = reading.type === 'instance' ? reading.instance : before.get(key);
    if (held) good.set(key, held);
    if (reading.type === 'bad') faults.set(key, reading.why);
  });
  for (const [key, instance] of switchedOff(service, said, before)) good.set(key, drained(instance));
  return {
    group: groupFromInstances(serviceKey(service), good.values(), options),
    good,
    bad: faults,
  };
}

/** What is counted and not shown, as far as it was known before. */
function switchedOff(
  service: Listed,
  said: readonly NacosInstance[],
  before: ReadonlyMap<string, Instance>,
): (readonly [string, Instance])[] {
  if (!service.asForCallers) return [];
  const shown = new Set(said.map(instanceKey));
  const missing = [...before].filter(([key]) => !shown.has(key));
  // If more are missing than are hidden, some have left, and nobody can tell which.
  return missing.length <= service.instances - said.length ? missing : [];
}

function drained(instance: Instance): Instance {
  return { ...instance, endpoints: instance.endpoints.map((e) => ({ ...e, health: 'draining' as const })) };
}

/**
 * Whole weights stay as they are, so that they can be compared with those of other sources. Fractional ones
 * (Nacos takes 0.01 to 10,000) keep their ratio: 0.5 and 1 become 1 and 2. Only 0 is 0.
 */
export function wholeWeights(weights: readonly number[]): number[] {
  if (weights.every(Number.isInteger)) return [...weights];
  const hundredths = weights.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.round(weight * 100))));
  const divisor = hundredths.reduce(greatestCommonDivisor, 0) || 1;
  return hundredths.map((weight) => weight / divisor);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function readNacosInstance(instance: NacosInstance, weight: number, options: MapOptions): Reading {
  const { ip, port, clusterName, ephemeral } = instance;
  if (typeof port !== 'number') return bad('it has no port');
  const { labels, protocol, ...metadata } = readMetadata(instance.metadata);
  const version = labels['isthmus.dev/version'];
  return readInstance(
    {
      ...metadata,
      host: ip,
      ports: [{ name: '', port, protocol: protocol || (labels['secure'] === 'true' ? 'https' : '') }],
      health: healthOf(instance, weight),
      weight,
      labels: {
        ...labels,
        ...(version === undefined ? {} : { version }),
        ...(clusterName === '' ? {} : { 'nacos.cluster': clusterName }),
        // Kept alive by the instance itself, or written down and checked by Nacos.
        ...(typeof ephemeral === 'boolean' ? { 'nacos.ephemeral': String(ephemeral) } : {}),
      },
    },
    options,
  );
}
