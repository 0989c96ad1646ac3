// The flags of TLS on the way to the control plane, which `proxy` and `bootstrap` have alike.
import { accessSync, constants } from 'node:fs';
import { describeError } from '../lib/errors.ts';
import { usage } from './usage.ts';

export interface XdsTlsFlags {
  readonly xdsCa?: string;
  readonly xdsCert?: string;
  readonly xdsKey?: string;
  readonly xdsName?: string;
}

/** Files as they were named: a bootstrap may be for another machine. */
export interface XdsTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** '': the host of --xds. */
  readonly serverName: string;
}

/** undefined: without TLS. */
export function xdsTlsFlags(flags: XdsTlsFlags): XdsTls | undefined {
  const { xdsCa: ca, xdsCert: cert, xdsKey: key, xdsName: serverName } = flags;
  if (cert !== undefined && key !== undefined && ca !== undefined) {
    return { ca, cert, key, serverName: serverName ?? '' };
  }
  if ([ca, cert, key, serverName].some((flag) => flag !== undefined)) {
    throw usage('--xds-cert, --xds-key and --xds-ca belong together: the control plane demands certificates');
  }
  return undefined;
}

/** The same, looked at: whoever starts here wants to hear at once of a file that is not there. */
export function readable(tls: XdsTls | undefined): XdsTls | undefined {
  for (const [flag, file] of tls
    ? ([
        ['ca', tls.ca],
        ['cert', tls.cert],
        ['key', tls.key],
      ] as const)
    : []) {
    try {
      accessSync(file, constants.R_OK);
    } catch (thrown) {
      throw usage(`--xds-${flag}: ${describeError(thrown)}`);
    }
  }
  return tls;
}
