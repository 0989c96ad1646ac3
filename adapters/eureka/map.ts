// Eureka's applications and instances in the words of the catalogue. Pure; the tables are in README.md.
import type { Health, ServicePort } from '../../model/endpoint.ts';
import { bad, readInstance } from '../instance.ts';
import type { InstanceOptions, Reading } from '../instance.ts';
import { labelsOf, readMetadata } from '../metadata.ts';
import { enabledPort } from './answers.ts';
import type { EurekaInstance } from './answers.ts';

const HEALTH: Readonly<Record<string, Health>> = {
  UP: 'healthy',
  DOWN: 'unhealthy',
  STARTING: 'unhealthy',
  OUT_OF_SERVICE: 'draining',
};

/** `status` is the server's verdict already: an override of an operator is in it. */
export function healthOf(status: string): Health {
  return HEALTH[status.toUpperCase()] ?? 'unknown';
}

/** Eureka's own key of an instance within its application. */
export function instanceId(instance: EurekaInstance): string {
  if (instance.instanceId !== '') return instance.instanceId;
  const cloud = dataCenter(instance)['instance-id'];
  return cloud || instance.hostName || instance.ipAddr;
}

/** Virtual host names; Netflix's carry a port (`orders.prod:7001`). */
export function aliasesOf({ vipAddress }: EurekaInstance): string[] {
  return vipAddress
    .split(',')
    .map((vip) => vip.trim().replace(/:\d+$/, ''))
    .filter(isAlias);
}

/** `unknown` is what clients write that have no name; ${…} is a placeholder nobody filled in. */
function isAlias(name: string): boolean {
  return name !== 'unknown' && /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/i.test(name);
}

export function readEurekaInstance(instance: EurekaInstance, options: InstanceOptions): Reading {
  const { protocol, labels, zone, ...metadata } = readMetadata(instance.metadata);
  const ports = portsOf(instance, protocol);
  if (ports.length === 0) return bad('no port is enabled');
  const { '@class': _class, ...meant } = labels;
  const version = meant['isthmus.dev/version'];
  return readInstance(
    {
      ...metadata,
      host: instance.ipAddr || instance.hostName,
      ports,
      health: healthOf(instance.status),
      labels: version === undefined ? meant : { ...meant, version },
      zone: zone || dataCenter(instance)['availability-zone'],
    },
    options,
  );
}

function portsOf(instance: EurekaInstance, protocol: string): ServicePort[] {
  const plain = enabledPort(instance.port);
  const secure = enabledPort(instance.securePort);
  return [
    ...(plain === undefined ? [] : [{ name: '', port: plain, protocol }]),
    ...(secure === undefined ? [] : [{ name: 'https', port: secure, protocol: 'https' }]),
  ];
}

/** What Eureka clients on Amazon say of their machine. */
function dataCenter({ dataCenterInfo }: EurekaInstance): Readonly<Record<string, string>> {
  if (typeof dataCenterInfo !== 'object' || dataCenterInfo === null) return {};
  return labelsOf((dataCenterInfo as { metadata?: unknown }).metadata);
}
