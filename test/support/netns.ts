// Kubernetes refuses loopback addresses in EndpointSlices. Tests whose traffic flows to pods run inside
// servers/netns.sh, a private network namespace that has 10.244.0.11 to .30 on lo; this file tells whether
// they do.
import { networkInterfaces } from 'node:os';

/** Addresses that pods can listen on here, in order; empty outside the namespace. */
export function podAddresses(): string[] {
  const addresses = networkInterfaces()['lo'] ?? [];
  return addresses
    .map((a) => a.address)
    .filter((address) => /^10\.244\.0\.\d+$/.test(address))
    .sort((a, b) => Number(a.split('.')[3]) - Number(b.split('.')[3]));
}

/** undefined inside the namespace, else the reason why pods cannot be had. */
export function noPodNetwork(): string | undefined {
  return podAddresses().length > 0
    ? undefined
    : 'not in a network namespace with pod addresses (test/support/servers/netns.sh)';
}
