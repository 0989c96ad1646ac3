// The table of source kinds. A kind's code, and the npm package it needs, is loaded only when a source of
// that kind is configured.
import type { ConsulSource, EurekaSource, SourceConfig } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import type { Discoverer } from '../model/discovery.ts';
import type { Registrar } from './registrar.ts';
import { resolved } from './resolve.ts';
import { shaped } from './shape.ts';
import type { SourceDeps } from './source.ts';

/** True for an entry of the config that stands for several sources, which are found at run time. */
export function isTemplate(config: SourceConfig): boolean {
  return config.kind === 'consul' && config.datacenters !== undefined;
}

/**
 * The sources that a template stands for, as they are found: each list has those that were not known
 * before. Ends with `signal`; a fault goes to `onFault` and does not end it.
 */
export async function* findSources(
  config: SourceConfig,
  deps: SourceDeps,
  onFault: (cause: Error) => void,
  signal: AbortSignal,
): AsyncGenerator<readonly SourceConfig[]> {
  if (config.kind !== 'consul' || config.datacenters === undefined) return yield [config];
  const { consulDatacenters } = await import('./consul/datacenters.ts');
  yield* consulDatacenters(config, deps, onFault, signal);
}

/** Rejects with ISTHMUS_CLIENT_MISSING when the kind's npm package is not installed. */
export async function createDiscoverer(config: SourceConfig, deps: SourceDeps): Promise<Discoverer> {
  const discoverer = await createUnshaped(config, deps);
  deps.leftOut?.know(config.name, config);
  const isResolved = config.kind === 'dns' || config.kind === 'sidecar';
  const named = isResolved ? discoverer : resolved(discoverer, config.resolvers, deps);
  return shaped(named, config, deps.leftOut, config.kind === 'sidecar' ? undefined : deps.marks);
}

async function createUnshaped(config: SourceConfig, deps: SourceDeps): Promise<Discoverer> {
  switch (config.kind) {
    case 'file':
      return (await import('./file/index.ts')).createFileSource(config, deps);
    case 'consul':
      return (await import('./consul/index.ts')).createConsulSource(config, deps);
    case 'kubernetes':
      return (await import('./kubernetes/index.ts')).createKubernetesSource(config, deps);
    case 'etcd':
      return (await import('./etcd/index.ts')).createEtcdSource(config, deps);
    case 'zookeeper':
      return (await import('./zookeeper/index.ts')).createZookeeperSource(config, deps);
    case 'eureka':
      return (await import('./eureka/index.ts')).createEurekaSource(config, deps);
    case 'nacos':
      return (await import('./nacos/index.ts')).createNacosSource(config, deps);
    case 'dns':
      return (await import('./dns/index.ts')).createDnsSource(config, deps);
    case 'sidecar':
      return (await import('./sidecar/index.ts')).createSidecarSource(config, deps);
  }
}

/** Sources whose registries can be written to. */
export type WritableSource = ConsulSource | EurekaSource;

/** @param owner the mark on what is written. @throws ISTHMUS_CONSUL_FILE, ISTHMUS_EUREKA_TLS */
export async function openRegistrar(config: WritableSource, owner: string, clock: Clock): Promise<Registrar> {
  switch (config.kind) {
    case 'consul':
      return (await import('./consul/registrar.ts')).ConsulRegistrar.open({ config, owner, clock });
    case 'eureka':
      return new (await import('./eureka/registrar.ts')).EurekaRegistrar({ config, owner, clock });
  }
}
