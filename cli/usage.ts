// Reading the values of flags; whatever is wrong with them ends the command with exit code 2.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { availableParallelism, hostname } from 'node:os';
import { parseListenAddress } from '../config/addresses.ts';
import { defineError, describeError } from '../lib/errors.ts';
import type { IsthmusError } from '../lib/errors.ts';
import { clusterOf, serviceName } from '../model/names.ts';
import type { AppCheck } from '../model/sidecars.ts';
import { hostProblem } from '../model/scope.ts';

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

/** 1…256, or `auto`: as many as there are cores. */
export function workersFlag(text: string): number {
  if (text === 'auto') return availableParallelism();
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > 256)
    throw usage(`--workers: expected a number from 1 to 256 or auto, got "${text}"`);
  return count;
}

/** HOST:PORT as it is, checked. */
export function addressFlag(flag: string, text: string): string {
  if (!parseListenAddress(text)) throw usage(`${flag}: expected HOST:PORT, got "${text}"`);
  return text;
}

/** HOST:PORT of the control plane, or those of its replicas, with commas between them. */
export function xdsFlag(text: string): string {
  return text
    .split(',')
    .map((address) => {
      const at = parseListenAddress(address.trim());
      if (at && at.host !== '' && at.port !== 0) return address.trim();
      throw usage(`--xds: expected HOST:PORT, or several with commas, got "${text}"`);
    })
    .join(',');
}

/** Where a sidecar takes calls when nothing is said. */
const INBOUND_PORT = 15_006;

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

export interface ScopeFlags {
  readonly calls?: string;
  readonly scope?: string;
}

/** As in `node.metadata.isthmus`. */
export interface NodeScope {
  readonly scope?: 'all' | 'on-demand';
  readonly calls?: readonly string[];
}

/** `--calls orders,shop/*` or `--scope on-demand`. */
export function scopeFlags({ calls, scope }: ScopeFlags): NodeScope {
  if (calls !== undefined && scope !== undefined) throw usage('--calls and --scope: one of them');
  if (scope !== undefined) {
    if (scope !== 'all' && scope !== 'on-demand') {
      throw usage(`--scope: expected all or on-demand, got "${scope}"`);
    }
    return { scope };
  }
  if (calls === undefined) return {};
  const names = calls.split(',').map((name) => name.trim());
  for (const name of names) {
    const problem = hostProblem(name);
    if (problem !== undefined) throw usage(`--calls: expected a service or ${problem}, got "${name}"`);
  }
  return { calls: names };
}

/** As in `node.metadata.isthmus.register`. */
interface NodeRegistration {
  readonly address?: string;
  readonly weight?: number;
  readonly healthPath?: string;
  readonly protocol?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly check?: Partial<AppCheck>;
}

export interface RegisterFlags {
  readonly port?: string;
  /** false with --no-register. */
  readonly register?: boolean;
  readonly address?: string;
  readonly weight?: string;
  readonly label?: readonly string[];
  readonly healthPath?: string;
  readonly protocol?: string;
}

/** What a data plane says of the app beside it; undefined: it does not register. */
export function registerFlags(
  flags: RegisterFlags,
  check: Partial<AppCheck> | undefined,
): NodeRegistration | undefined {
  const { address, weight, label = [], healthPath, protocol } = flags;
  if (flags.port === undefined || flags.register === false) return undefined;
  if (address !== undefined && isIP(address) === 0)
    throw usage(`--address: expected an IP address, got "${address}"`);
  if (healthPath !== undefined && !healthPath.startsWith('/')) {
    throw usage(`--health-path: expected a path such as /health, got "${healthPath}"`);
  }
  return {
    ...(address !== undefined && { address }),
    ...(weight !== undefined && { weight: weightFlag(weight) }),
    ...(healthPath !== undefined && { healthPath }),
    ...(protocol !== undefined && { protocol }),
    ...(label.length > 0 && { labels: Object.fromEntries(label.map(labelFlag)) }),
    ...(check && { check }),
  };
}

/** The token in it, without the line end. */
export function tokenFile(file: string): string {
  try {
    const token = readFileSync(file, 'utf8').trim();
    if (token !== '') return token;
  } catch (thrown) {
    throw usage(`--token-file: ${describeError(thrown)}`);
  }
  throw usage(`--token-file: ${file} is empty`);
}

/** Reads the token anew each time, as it may be rotated; while there is none in the file, the last one counts. */
export function freshToken(file: string): () => string {
  let token = tokenFile(file);
  return () => {
    try {
      token = tokenFile(file);
    } catch {
      // Somebody is just writing it.
    }
    return token;
  };
}

function weightFlag(text: string): number {
  const weight = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (weight < 1 || weight > 65_535)
    throw usage(`--weight: expected a number from 1 to 65535, got "${text}"`);
  return weight;
}

function labelFlag(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw usage(`--label: expected NAME=VALUE such as version=v2, got "${text}"`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/**
 * Stable over restarts of one sidecar: the same node keeps its place in `proxy-status`. Of several on one machine only
 * one has the usual port for calls.
 */
export function defaultNodeId(service: string, inbound?: string): string {
  const port = inbound === undefined ? undefined : parseListenAddress(inbound)?.port;
  const which = port === undefined || port === INBOUND_PORT ? '' : `~${port}`;
  return `${service}~${hostname()}${which}`;
}
