// DNS answers as endpoint groups. Pure; the rules are in docs/sources/dns.md.
import type { DnsName } from '../../config/schema.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { groupFromInstances, readInstance } from '../instance.ts';
import type { InstanceOptions, ServiceKey } from '../instance.ts';
import type { DnsTarget } from './client.ts';

/** As a message calls it, and unique in a source. */
export const nameOf = (entry: DnsName): string => entry.srv ?? entry.name;

/** What follows the last dot is the namespace. The names themselves are aliases, without `_http._tcp`. */
export function serviceKey(entry: DnsName): ServiceKey {
  const dot = entry.service.lastIndexOf('.');
  const host = nameOf(entry)
    .replace(/^(_[^.]+\.)*/, '')
    .replace(/\.$/, '');
  return {
    name: dot < 0 ? entry.service : entry.service.slice(0, dot),
    namespace: dot < 0 ? '' : entry.service.slice(dot + 1),
    aliases: host === '' ? [] : [host],
  };
}

/** All entries of one service together. */
export function groupFromDns(
  entries: readonly { readonly entry: DnsName; readonly targets: readonly DnsTarget[] }[],
  options: InstanceOptions,
): EndpointGroup {
  const instances = entries.flatMap(({ entry, targets }) =>
    targets.flatMap(({ address, port, weight, host }) => {
      const ports = [{ name: '', port, protocol: entry.protocol }];
      const labels = host === '' ? {} : { hostname: host };
      const hostname = (host || nameOf(entry)).toLowerCase().replace(/\.$/, '');
      const reading = readInstance({ host: address, hostname, ports, weight, labels }, options);
      return reading.type === 'instance' ? [reading.instance] : [];
    }),
  );
  const keys = entries.map(({ entry }) => serviceKey(entry));
  const key = {
    name: keys[0]?.name ?? '',
    namespace: keys[0]?.namespace ?? '',
    aliases: [...new Set(keys.flatMap(({ aliases }) => aliases))].sort(),
  };
  return groupFromInstances(key, instances, options);
}
