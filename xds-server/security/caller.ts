// Who is at the other end of a call, and what that entitles to. On the plaintext listener nobody is proven: who can
// reach it may be any node. On the TLS listener a certificate decides (docs/adr/0020).
import { BlockList, isIP } from 'node:net';
import type { status } from '@grpc/grpc-js';
import { defineError } from '../../lib/errors.ts';
import type { ClientNode } from '../node.ts';
import { addressOf } from '../peer.ts';

/** What a node claims to be: its service, '' when it names none, and those beside it. */
export type Claim = Pick<ClientNode, 'id' | 'service' | 'group'>;

export interface Caller {
  /** IP address that it comes from. */
  readonly address: string;
  /** It has shown a certificate. */
  readonly isProven: boolean;
  /** What that says it is: a SPIFFE id, or DNS names; '' without one. */
  readonly identity: string;
  /** Once per call. Throws ISTHMUS_XDS_NOT_ALLOWED or ISTHMUS_XDS_CERTIFICATE unless it may be that node. */
  claim(node: Claim): void;
  /** Throws the same unless it may read what every client was sent. */
  readAll(): void;
  /** `end` is called when it may no longer be what it claimed. The returned function forgets it. */
  hold(end: End): () => void;
}

export type End = (code: status, details: string) => void;

/** Of a call, however it came in. */
export type CallerOf = (call: { getPeer(): string }) => Caller;

export const NOT_ALLOWED = defineError('ISTHMUS_XDS_NOT_ALLOWED', (what: string) => what, {
  hint: 'Which certificate may speak for which services stands in `xds.tls.identitiesFile`; see docs/security.md.',
});

export const CERTIFICATE_OVER = defineError(
  'ISTHMUS_XDS_CERTIFICATE',
  (name: string, why: string) => `certificate ${name} ${why}`,
  { hint: 'Connect again with a newer one.' },
);

/**
 * By which a node is known beside others that may call themselves the same: nobody takes the place of another
 * service's node.
 */
export function keyOf(
  { isProven }: Pick<Caller, 'isProven'>,
  { id, service }: Pick<Claim, 'id' | 'service'>,
): string {
  return !isProven || id.startsWith(`${service}~`) ? id : `${service}~${id}`;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** On the plaintext listener. */
export const plaintextCaller: CallerOf = (call) => {
  const address = addressOf(call.getPeer());
  return {
    address,
    isProven: false,
    identity: '',
    claim: () => undefined,
    readAll() {
      const family = isIP(address);
      if (family !== 0 && LOOPBACK.check(address, family === 4 ? 'ipv4' : 'ipv6')) return;
      throw NOT_ALLOWED(
        `${address} may not read what other clients were sent: ask from this machine, or with an operator's certificate`,
      );
    },
    hold: () => () => undefined,
  };
};
