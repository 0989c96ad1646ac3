// The files of `xds.tls`: read together, checked together, and read again when one of them changes. What is not good
// is told, and what was good before stays with whoever has it. Nothing of a key is ever part of a message.
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { readIdentities } from '../../config/identities.ts';
import type { Identities } from '../../config/identities.ts';
import type { XdsTls } from '../../config/xds.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { defineError, describeError, toError } from '../../lib/errors.ts';

export const TLS_FILES = defineError(
  'ISTHMUS_XDS_TLS_FILES',
  (field: string, file: string, why: string) => `xds.tls.${field}: ${file}: ${why}`,
  {
    hint: 'cert, key and clientCa are PEM files; cert and key are a pair. They are read again when they change.',
  },
);

export type TlsFiles = Pick<XdsTls, 'cert' | 'key' | 'clientCa' | 'identitiesFile' | 'trustDomain'>;

export interface TlsMaterial {
  /** PEM. */
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
  /** What is in `ca`. */
  readonly authorities: readonly X509Certificate[];
  readonly identities: Identities;
  /** End of the server's own certificate, ms since the epoch. */
  readonly notAfter: number;
}

/** @throws ISTHMUS_XDS_TLS_FILES, ISTHMUS_XDS_IDENTITIES */
export async function readTlsFiles(files: TlsFiles): Promise<TlsMaterial> {
  const [cert, key, ca] = await Promise.all([
    read('cert', files.cert),
    read('key', files.key),
    read('clientCa', files.clientCa),
  ]);
  const [own] = certificatesIn('cert', files.cert, cert);
  const authorities = certificatesIn('clientCa', files.clientCa, ca);
  if (authorities.some(({ ca: isAuthority }) => !isAuthority)) {
    throw TLS_FILES('clientCa', files.clientCa, 'a certificate in it is not that of an authority');
  }
  checkKey(files, own, key);
  try {
    createSecureContext({ cert, key, ca });
  } catch (thrown) {
    throw TLS_FILES('cert', files.cert, `cannot be used: ${describeError(thrown)}`);
  }
  const notAfter = Date.parse(own.validTo);
  const identities = await readIdentities(files.identitiesFile, files.trustDomain);
  return { cert, key, ca, authorities, identities, notAfter };
}

async function read(field: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (thrown) {
    throw TLS_FILES(field, file, describeError(thrown));
  }
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesIn(field: string, file: string, pem: Buffer): [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.toString('latin1').match(BLOCK) ?? [];
  try {
    const [first, ...others] = blocks.map((block) => new X509Certificate(block));
    if (first) return [first, ...others];
  } catch (thrown) {
    throw TLS_FILES(field, file, describeError(thrown));
  }
  throw TLS_FILES(field, file, 'no certificate in it');
}

function checkKey({ cert: certFile, key: file }: TlsFiles, cert: X509Certificate, pem: Buffer): void {
  let fits: boolean;
  try {
    fits = cert.checkPrivateKey(createPrivateKey(pem));
  } catch {
    // Whatever the library says of it, the text of a key stays out of it.
    throw TLS_FILES('key', file, 'is not a private key in PEM without a passphrase');
  }
  if (!fits) throw TLS_FILES('key', file, `is not the key of ${certFile}`);
}

export interface FollowOptions {
  readonly clock: Clock;
  /** Between two looks, ms. */
  readonly pollMs: number;
  /** Another state that is good. */
  readonly onMaterial: (material: TlsMaterial) => void;
  /** Told once per state of the files. */
  readonly onFault: (error: Error) => void;
}

/**
 * Until `signal` aborts. A state counts when two looks have found the same: files are often written one after the
 * other, and half a list of authorities would cut off those whose authority is in the other half.
 * @param seen marksOf() before the state that is in use was read. Never rejects.
 */
export async function followTlsFiles(
  files: TlsFiles,
  seen: string,
  { clock, pollMs, onMaterial, onFault }: FollowOptions,
  signal: AbortSignal,
): Promise<void> {
  let known = seen;
  let before = seen;
  while (!signal.aborted) {
    await sleep(pollMs, signal, clock).catch(() => undefined);
    const marks = await marksOf(files);
    const isSettled = marks === before;
    before = marks;
    if (signal.aborted || marks === known || !isSettled) continue;
    const result = await readTlsFiles(files).catch(toError);
    if (signal.aborted) return;
    if ((await marksOf(files)) !== marks) continue;
    known = marks;
    if (result instanceof Error) onFault(result);
    else onMaterial(result);
  }
}

/** Changes whenever one of the files does, also by a link that points elsewhere. */
export async function marksOf({ cert, key, clientCa, identitiesFile }: TlsFiles): Promise<string> {
  const all = [cert, key, clientCa, identitiesFile].filter((file) => file !== '');
  const marks = await Promise.all(
    all.map(async (file) => {
      const found = await stat(file).catch(() => undefined);
      return found ? [found.mtimeMs, found.ctimeMs, found.size, found.ino].join(':') : 'absent';
    }),
  );
  return marks.join('\n');
}
