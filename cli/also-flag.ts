// `--also carts=8081`: more services beside one sidecar.
import { parseListenAddress } from '../config/addresses.ts';
import { listenFlag, portFlag, serviceFlag, usage } from './usage.ts';

/** As in `node.metadata.isthmus.further`. */
export interface AlsoService {
  readonly service: string;
  /** Of its app on loopback. */
  readonly appPort: number;
  /** Where others call it. */
  readonly inbound: string;
}

const FIRST_INBOUND = '0.0.0.0:15006';

/**
 * SERVICE=PORT or SERVICE=PORT@ADDRESS:PORT; without an address of its own a service has the next port after the one
 * before it.
 */
export function alsoFlags(
  texts: readonly string[] | undefined,
  { service, inbound, port }: { service: string; inbound: string | undefined; port: string | undefined },
): readonly AlsoService[] {
  if (texts === undefined) return [];
  if (port === undefined) throw usage('--also needs --port: the first service comes first');
  const names = new Set([service]);
  let last = inbound ?? FIRST_INBOUND;
  return texts.map((text) => {
    const [, name, appPort, at] = /^([^=@]+)=(\d+)(?:@(.+))?$/.exec(text) ?? [];
    if (name === undefined || appPort === undefined) {
      throw usage(`--also: expected SERVICE=PORT such as carts=8081, got "${text}"`);
    }
    last = at === undefined ? next(last) : listenFlag('--also', at);
    const also = { service: serviceFlag(name), appPort: portFlag('--also', appPort), inbound: last };
    if (names.has(also.service)) throw usage(`--also: ${also.service} is named twice`);
    names.add(also.service);
    return also;
  });
}

function next(inbound: string): string {
  const { host, port } = parseListenAddress(inbound) ?? { host: '', port: 0 };
  return `${host.includes(':') ? `[${host}]` : host}:${portFlag('--also', String(port + 1))}`;
}
