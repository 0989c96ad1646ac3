// Who may ask: the admin API has no login, so a page in somebody's browser must not reach it. A request
// passes when its Host names this machine by address or as localhost, which a rebound DNS name cannot, and
// when an Origin, if there is one, is this very server.
import { isIP } from 'node:net';

/**
 * @param host the Host header; undefined when absent.
 * @param listenHost the configured listen host, which is always allowed.
 */
export function hostAllowed(host: string | undefined, listenHost: string): boolean {
  const name = hostName(host);
  if (name === undefined) return false;
  return name === 'localhost' || isIP(name) !== 0 || (listenHost !== '' && name === listenHost.toLowerCase());
}

/** True without an Origin, or when it is the server the request was sent to. */
export function originAllowed(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true;
  if (!URL.canParse(origin) || host === undefined) return false;
  const { protocol, host: from } = new URL(origin);
  return protocol === 'http:' && from === host.toLowerCase().replace(/:80$/, '');
}

/** Without port and brackets, lower case; undefined when it is not a host at all. */
function hostName(host: string | undefined): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\\@\s]+))(?::\d{1,5})?$/.exec(host ?? '');
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}
