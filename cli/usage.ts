// Reading the values of flags; whatever is wrong with them ends the command with exit code 2.
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { parseListenAddress } from '../config/schema.ts';
import { defineError } from '../lib/errors.ts';
import type { IsthmusError } from '../lib/errors.ts';
import { clusterOf, serviceName } from '../model/names.ts';

export const USAGE = defineError('ISTHMUS_USAGE', (what: string) => what, {
  hint: 'See `isthmus help COMMAND`.',
});

export const usage = (what: string): IsthmusError => USAGE(what);

/** 1…65535. */
export function portFlag(flag: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw usage(`${flag}: expected a port from 1 to 65535, got "${text}"`);
  return port;
}

/** HOST:PORT as it is, checked. */
export function addressFlag(flag: string, text: string): string {
  if (!parseListenAddress(text)) throw usage(`${flag}: expected HOST:PORT, got "${text}"`);
  return text;
}

/** ADDRESS:PORT to listen on: an IP address, since xDS listeners take no names; no address means all. */
export function listenFlag(flag: string, text: string): string {
  const at = parseListenAddress(text);
  if (!at || (at.host !== '' && isIP(at.host) === 0)) {
    throw usage(`${flag}: expected an IP address and a port such as 127.0.0.1:15001, got "${text}"`);
  }
  return text;
}

/** `orders` means `orders.default`. */
export function serviceFlag(text: string): string {
  if (!/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/i.test(text)) {
    throw usage(`--service: expected a name such as orders or orders.shop, got "${text}"`);
  }
  return text.includes('.') ? text.toLowerCase() : serviceName(text);
}

/** SERVICE=ADDRESS:PORT, the service as callers name it, also `orders:grpc` or `orders@consul-dc1`. */
export function upstreamFlag(text: string): { readonly service: string; readonly listen: string } {
  const at = text.lastIndexOf('=');
  const service = text.slice(0, Math.max(0, at));
  if (!/^[a-z0-9][a-z0-9._-]*(:[a-z0-9._-]+)?(@[a-z0-9._-]+)?$/i.test(service)) {
    throw usage(`--upstream: expected SERVICE=ADDRESS:PORT such as db=127.0.0.1:5432, got "${text}"`);
  }
  return { service: clusterOf(service), listen: listenFlag('--upstream', text.slice(at + 1)) };
}

/** Stable over restarts of one sidecar: the same node keeps its place in `proxy-status`. */
export const defaultNodeId = (service: string): string => `${service}~${hostname()}`;
