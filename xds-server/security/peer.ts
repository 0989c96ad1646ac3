// One TLS connection: what its certificate says, the calls on it, and when it is over. What a call claims is
// remembered, so that it can be judged again while the call lasts.
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { status } from '@grpc/grpc-js';
import type { Grant } from '../../config/identities.ts';
import type { Clock } from '../../lib/clock.ts';
import { addressOf } from '../peer.ts';
import type { Caller, Claim, End } from './caller.ts';
import { CERTIFICATE_OVER, NOT_ALLOWED } from './caller.ts';
import { NOT_SIGNED, namesOf, standingOf } from './certificate.ts';
import type { TlsMaterial } from './files.ts';

/** So long the end of a call has to reach the client before its connection is closed. */
const LINGER_MS = 500;
/** An error travels in trailers, which have little room. */
const MAX_TITLE = 200;

export class Peer {
  readonly #socket: TLSSocket;
  readonly #address: string;
  readonly #certificate: X509Certificate;
  readonly #names: readonly string[];
  /** See Caller. */
  readonly identity: string;
  /** Its name for people. */
  readonly title: string;
  readonly #calls = new Set<Call>();
  #material: TlsMaterial | undefined;
  #notAfter = 0;
  #grant: Grant | undefined;
  /** Why it is over. */
  problem: string | undefined;

  /** @param key address and port, as gRPC says them. */
  constructor(socket: TLSSocket, key: string, certificate: X509Certificate) {
    this.#socket = socket;
    this.#address = addressOf(key);
    this.#certificate = certificate;
    this.#names = namesOf(certificate);
    this.identity = this.#names.join(',').slice(0, MAX_TITLE);
    this.title = this.#names.join(', ').slice(0, MAX_TITLE) || 'without a SPIFFE id or DNS name';
  }

  /**
   * Looks whether it still holds. @returns false from the moment on that it does not.
   * @param isSettled no handshake that ends now was begun with other authorities.
   */
  check(material: TlsMaterial, now: number, isSettled: boolean): boolean {
    if (this.problem !== undefined) return false;
    if (material === this.#material && now < this.#notAfter) return true;
    const standing = standingOf(this.#certificate, material.authorities, now);
    if ('problem' in standing) {
      this.problem = standing.problem;
      return false;
    }
    // The handshake's word counts for the authorities of that moment.
    const isSame = this.#material ? this.#material.ca.equals(material.ca) : isSettled;
    if (standing.isUnseen && !isSame) {
      this.problem = NOT_SIGNED;
      return false;
    }
    if (material !== this.#material) this.#grant = material.identities.grant(this.#names);
    this.#material = material;
    this.#notAfter = standing.notAfter;
    return true;
  }

  /** Ends the calls that may no longer be what they claimed. @returns how many. */
  recheck(): number {
    let ended = 0;
    for (const call of this.#calls) if (call.endIfRefused()) ended += 1;
    return ended;
  }

  /** Ends all its calls and, when they have heard of it, the connection: a newer certificate needs a new one. */
  end(clock: Clock): void {
    const { message } = CERTIFICATE_OVER(this.title, this.problem ?? '');
    for (const call of this.#calls)
      call.end?.(status.UNAUTHENTICATED, `${CERTIFICATE_OVER.code}: ${message}`);
    clock.after(LINGER_MS, () => this.#socket.destroy());
  }

  caller(): Caller {
    return new Call(this, this.#calls, this.#address);
  }

  /** Why it may not be this node; undefined: it may. */
  refusal({ id, service, group }: Claim): string | undefined {
    const grant = this.#grant;
    if (!grant?.known) return `certificate ${this.title} may not speak for any node, and so not for ${id}`;
    const further = (group.dialect === 'envoy' && group.further) || [];
    const names = [...(service === '' ? [] : [service]), ...further.map((each) => each.service)];
    const foreign = names.find((name) => !grant.speaksFor(name));
    return foreign === undefined
      ? undefined
      : `certificate ${this.title} may not speak for ${foreign}, which node ${id.slice(0, MAX_TITLE)} claims to be`;
  }

  get isOperator(): boolean {
    return this.#grant?.operator === true;
  }
}

class Call implements Caller {
  readonly #peer: Peer;
  readonly #calls: Set<Call>;
  readonly address: string;
  readonly isProven = true;
  readonly identity: string;
  #claim: Claim | undefined;
  #readsAll = false;
  end: End | undefined;

  constructor(peer: Peer, calls: Set<Call>, address: string) {
    this.#peer = peer;
    this.identity = peer.identity;
    this.#calls = calls;
    this.address = address;
  }

  claim(node: Claim): void {
    this.#claim = node;
    this.#demand();
  }

  readAll(): void {
    this.#readsAll = true;
    this.#demand();
  }

  hold(end: End): () => void {
    this.end = end;
    this.#calls.add(this);
    return () => void this.#calls.delete(this);
  }

  endIfRefused(): boolean {
    const refusal = this.#refusal();
    if (refusal !== undefined) this.end?.(status.PERMISSION_DENIED, `${NOT_ALLOWED.code}: ${refusal}`);
    return refusal !== undefined;
  }

  #demand(): void {
    const { problem, title } = this.#peer;
    if (problem !== undefined) throw CERTIFICATE_OVER(title, problem);
    const refusal = this.#refusal();
    if (refusal !== undefined) throw NOT_ALLOWED(refusal);
  }

  #refusal(): string | undefined {
    const refusal = this.#claim && this.#peer.refusal(this.#claim);
    if (refusal !== undefined || !this.#readsAll || this.#peer.isOperator) return refusal;
    return `certificate ${this.#peer.title} may not read what other clients were sent: it is no operator's`;
  }
}
