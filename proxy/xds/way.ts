// How a stream gets to the control plane: with or without TLS. Certificates are read again for each stream, so that
// rotated ones count from the next one on; the control plane ends a stream whose certificate has expired.
import { readFile } from 'node:fs/promises';
import { checkServerIdentity, createSecureContext } from 'node:tls';
import type { PeerCertificate, SecureContext } from 'node:tls';
import { isIP } from 'node:net';
import { credentials } from '@grpc/grpc-js';
import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';
import { alternativeNames } from '../../lib/alternative-names.ts';
import { defineError, describeError } from '../../lib/errors.ts';

export interface XdsTlsFiles {
  /** PEM: who signs the control plane's certificate. */
  readonly ca: string;
  /** PEM: what is shown. */
  readonly cert: string;
  readonly key: string;
  /** Name, IP address or SPIFFE id in the control plane's certificate; '': the host of its address. */
  readonly serverName: string;
}

/** For one stream. */
export interface Way {
  readonly credentials: ChannelCredentials;
  readonly channel: ChannelOptions;
  /** Why there is no connection, as far as it is known here. */
  fault(): Error | undefined;
}

export const XDS_TLS = defineError('ISTHMUS_PROXY_XDS_TLS', (what: string) => what, {
  hint: '--xds-ca, --xds-cert and --xds-key are PEM files; --xds-name is the name in its certificate.',
});

const PLAINTEXT: Way = {
  credentials: credentials.createInsecure(),
  channel: {},
  fault: () => undefined,
};

/** As name for the handshake where there is none: an IP address may not be sent there (RFC 6066). */
const NO_NAME = 'isthmus.invalid';

/** @returns of an address HOST:PORT; rejects with ISTHMUS_PROXY_XDS_TLS while there are no files that can be used. */
export function waysTo(files: XdsTlsFiles | undefined): (address: string) => Promise<Way> {
  if (!files) return () => Promise.resolve(PLAINTEXT);
  let last: SecureContext | undefined;
  return async (address) => {
    const context = await read(files).catch((thrown: unknown) => {
      // Somebody is just writing them.
      if (last) return last;
      throw thrown;
    });
    last = context;
    return secured(
      context,
      files.serverName || address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, ''),
    );
  };
}

async function read({ ca, cert, key }: XdsTlsFiles): Promise<SecureContext> {
  try {
    const [own, secret, authorities] = await Promise.all([readFile(cert), readFile(key), readFile(ca)]);
    return createSecureContext({ ca: authorities, cert: own, key: secret, minVersion: 'TLSv1.2' });
  } catch (thrown) {
    throw XDS_TLS(`cannot use ${cert}, ${key} and ${ca}: ${describeError(thrown)}`);
  }
}

function secured(context: SecureContext, wanted: string): Way {
  let fault: Error | undefined;
  const check = (_host: string, shown: PeerCertificate) => {
    const why = nameFault(wanted, shown);
    fault = why === undefined ? undefined : XDS_TLS(why);
    return fault;
  };
  const isName = isIP(wanted) === 0 && !wanted.startsWith('spiffe://');
  return {
    credentials: credentials.createFromSecureContext(context, { checkServerIdentity: check }),
    channel: { 'grpc.ssl_target_name_override': isName ? wanted : NO_NAME },
    fault: () => fault,
  };
}

function nameFault(wanted: string, shown: PeerCertificate): string | undefined {
  if (!wanted.startsWith('spiffe://')) return checkServerIdentity(wanted, shown)?.message;
  const names = alternativeNames(shown.subjectaltname ?? '');
  if (names.some(([kind, name]) => kind === 'URI' && name === wanted)) return undefined;
  return `the control plane's certificate is not that of ${wanted}: ${shown.subjectaltname ?? 'no names'}`;
}
