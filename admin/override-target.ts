// Which endpoint a path of the API means, as the catalogue names it. Pure.
import { addressBytes, formatAddress } from '../lib/cidr.ts';
import { endpointKey } from '../model/endpoint.ts';
import { serviceName } from '../model/names.ts';
import type { FederationSnapshot } from '../model/snapshot.ts';
import { findService } from './views.ts';

export interface Target {
  /** Canonical. */
  readonly service: string;
  /** endpointKey(). */
  readonly key: string;
  /** Some source lists it now. */
  readonly isListed: boolean;
}

/**
 * @param service by any of its names; one that is not known is taken as it is.
 * @param address `10.0.0.1:80`, `[::1]:80`, `NETWORK/10.0.0.1:80`.
 * @returns what is wrong with them, otherwise.
 */
export function targetOf(snapshot: FederationSnapshot, service: string, address: string): Target | string {
  const key = keyOf(address);
  if (key === undefined) {
    return `address: expected ADDRESS:PORT, such as 10.0.0.1:80, [::1]:80 or NETWORK/10.0.0.1:80; got "${address}"`;
  }
  const slice = findService(snapshot, service);
  if (!slice) {
    if (/[\s\p{C}]/u.test(service) || service.length > 253) {
      return `service: expected a name such as orders or orders.shop, got "${service}"`;
    }
    const canonical = service.includes('.') ? service.toLowerCase() : serviceName(service);
    return { service: canonical, key, isListed: false };
  }
  const isListed = [...slice.shards.values()].some(({ group }) =>
    group.endpoints.some((endpoint) => endpointKey(endpoint) === key),
  );
  return { service: slice.service, key, isListed };
}

/** The endpointKey() that is meant; undefined when the text is none. */
function keyOf(text: string): string | undefined {
  const match = /^(?:(.+)\/)?(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[4]);
  const bytes = addressBytes(match?.[2] ?? '');
  if (!match || port < 1 || port > 65_535 || (match[2] !== undefined && !bytes)) return undefined;
  const address = bytes ? formatAddress(bytes) : (match[3] ?? '').toLowerCase();
  return endpointKey({ network: match[1] ?? '', address, port });
}
