// What a client's certificate says, and whether it still holds. At the handshake OpenSSL has verified it; here it is
// looked at again, long after, with the authorities of that moment. Pure.
import type { X509Certificate } from 'node:crypto';
import { alternativeNames } from '../../lib/alternative-names.ts';

/** More links than that no chain has. */
const MAX_CHAIN = 10;

/**
 * Its SPIFFE id or, where it has none, its DNS names in lower case. Of two SPIFFE ids neither counts, as the
 * standard has it: none are given back.
 */
export function namesOf(certificate: X509Certificate): readonly string[] {
  const all = alternativeNames(certificate.subjectAltName ?? '');
  const ids = all.flatMap(([kind, name]) => (kind === 'URI' && name.startsWith('spiffe://') ? [name] : []));
  if (ids.length > 0) return ids.length === 1 ? ids : [];
  return all.flatMap(([kind, name]) => (kind === 'DNS' ? [name.toLowerCase()] : []));
}

export type Standing =
  /** Good until then, ms since the epoch, by every certificate of its chain. */
  | {
      readonly notAfter: number;
      /** Who signed it is not shown: Node 24 gives back no chain. Only the handshake has seen it. */
      readonly isUnseen?: true;
    }
  | { readonly problem: string };

export const NOT_SIGNED = 'is not signed by an authority of xds.tls.clientCa';

/** @param leaf with its chain, as far as the client sent it. @param now ms since the epoch. */
export function standingOf(
  leaf: X509Certificate,
  authorities: readonly X509Certificate[],
  now: number,
): Standing {
  let notAfter = Infinity;
  let current = leaf;
  for (let links = 0; links < MAX_CHAIN; links += 1) {
    const end = Date.parse(current.validTo);
    if (now >= end) return { problem: `expired at ${new Date(end).toISOString()}` };
    notAfter = Math.min(notAfter, end);
    const certificate = current;
    const roots = authorities.filter((each) => issued(each, certificate));
    const root = roots.find((each) => now < Date.parse(each.validTo));
    if (root) return { notAfter: Math.min(notAfter, Date.parse(root.validTo)) };
    const above = current.issuerCertificate;
    if (!above && current === leaf && roots.length === 0) return { notAfter, isUnseen: true };
    if (!above || !above.ca || above.fingerprint256 === current.fingerprint256 || !issued(above, current))
      break;
    current = above;
  }
  return { problem: NOT_SIGNED };
}

const issued = (issuer: X509Certificate, certificate: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
