// Where pings may go. What a registry lists is written by many hands: it must not make the control plane call
// services on its own machine, nor a cloud's metadata service. Pure.
import { addressBytes } from '../../lib/cidr.ts';
import { parseListenAddress } from '../../config/addresses.ts';
import type { SourceConfig } from '../../config/schema.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import { LOOPBACK, NEVER, isIn, plainBytes } from '../ranges.ts';

export interface Reach {
  /** Networks that this process is in; '' is the default one. */
  readonly networks: readonly string[];
  /** Its source is on this machine's loopback, so that loopback addresses mean this machine. */
  readonly isLocal: boolean;
}

export function mayPing({ address, network }: Endpoint, { networks, isLocal }: Reach): boolean {
  const bytes = plainBytes(address);
  if (!bytes || !networks.includes(network)) return false;
  return !isIn(NEVER, bytes) && (isLocal || !isIn(LOOPBACK, bytes));
}

/** True for files, for sidecars (whose addresses were judged when they registered), and for a registry all of whose configured servers are on this machine's loopback. */
export function isOnLoopback(source: SourceConfig): boolean {
  const hosts = hostsOf(source);
  return ['file', 'sidecar'].includes(source.kind) || (hosts.length > 0 && hosts.every(isLoopbackHost));
}

function hostsOf(source: SourceConfig): readonly string[] {
  switch (source.kind) {
    case 'consul':
      return [hostOf(source.address)];
    case 'etcd':
      return source.endpoints.map(hostOf);
    case 'zookeeper':
      return source.servers.map((server) => hostOf(server.replace(/\/.*$/, '')));
    case 'eureka':
    case 'nacos':
      return source.urls.map(hostOf);
    // Which server a kubeconfig names is not known here, and a name server is no registry.
    case 'kubernetes':
    case 'dns':
    case 'file':
    case 'sidecar':
      return [];
  }
}

function hostOf(server: string): string {
  if (/^https?:/.test(server)) return new URL(server).hostname.replace(/^\[|\]$/g, '');
  return parseListenAddress(server)?.host ?? server.replace(/^\[|\]$/g, '');
}

function isLoopbackHost(host: string): boolean {
  const bytes = addressBytes(host);
  return bytes ? isIn(LOOPBACK, bytes) : host === 'localhost' || host.endsWith('.localhost');
}
