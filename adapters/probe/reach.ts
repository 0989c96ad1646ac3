// Where pings may go. What a registry lists is written by many hands: it must not make the control plane call
// services on its own machine, nor a cloud's metadata service. Pure.
import { addressBytes, contains, parseCidr } from '../../lib/cidr.ts';
import type { Cidr } from '../../lib/cidr.ts';
import { parseListenAddress } from '../../config/addresses.ts';
import type { SourceConfig } from '../../config/schema.ts';
import type { Endpoint } from '../../model/endpoint.ts';

const rangesOf = (texts: readonly string[]): readonly Cidr[] =>
  texts.flatMap((text) => {
    const parsed = parseCidr(text);
    return 'cidr' in parsed ? [parsed.cidr] : [];
  });

/** This network, link-local (RFC 3927, RFC 4291 §2.5.6), multicast, reserved; AWS's metadata service on IPv6. */
const NEVER = rangesOf([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/128',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::254/128',
]);
const LOOPBACK = rangesOf(['127.0.0.0/8', '::1/128']);
/** RFC 4291 §2.5.5.2: an IPv4 address in the clothes of an IPv6 one. */
const MAPPED = rangesOf(['::ffff:0.0.0.0/96']);

export interface Reach {
  /** Networks that this process is in; '' is the default one. */
  readonly networks: readonly string[];
  /** Its source is on this machine's loopback, so that loopback addresses mean this machine. */
  readonly isLocal: boolean;
}

export function mayPing({ address, network }: Endpoint, { networks, isLocal }: Reach): boolean {
  const bytes = addressBytes(address);
  if (!bytes || !networks.includes(network)) return false;
  const plain = isIn(MAPPED, bytes) ? bytes.slice(12) : bytes;
  return !isIn(NEVER, plain) && (isLocal || !isIn(LOOPBACK, plain));
}

const isIn = (ranges: readonly Cidr[], bytes: readonly number[]): boolean =>
  ranges.some((range) => contains(range, bytes));

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
