// What the server knows of one xDS client: which config it was offered, and which it took. Plain data;
// the xds-server writes it, the admin API and the CLI show it.

import type { Scope } from './scope.ts';

/** The four resource types that every proxy is told of. */
export type ProxyType = 'cds' | 'eds' | 'lds' | 'rds';

/** Types that are asked for by name alone. */
export type FurtherType = 'rtds' | 'sds' | 'ecds' | 'srds' | 'vhds';

/**
 * `SYNCED`: the last response was acknowledged. `STALE`: it was sent and not acknowledged yet.
 * `NOT_SENT`: nothing was sent (the client did not ask, or what it asked for does not exist).
 * `NACKED`: the client refused the last response and stays on what it had.
 */
export type ProxyTypeState = 'SYNCED' | 'STALE' | 'NOT_SENT' | 'NACKED';

export interface ProxyTypeStatus {
  readonly state: ProxyTypeState;
  /** Version of the last response that was acknowledged; '' before the first. */
  readonly version: string;
  /** Version of the last response that was sent; absent: `version`. */
  readonly sent?: string;
  /** The client's own words when it refused; '' otherwise. */
  readonly error: string;
  /** The resource that was refused, as far as it is known; '' otherwise. */
  readonly resource: string;
  /** All resources that are kept back from this client, with its words for each; absent when none is. */
  readonly refused?: readonly { readonly resource: string; readonly error: string }[];
  /** Asked for by name, and there is none of that name: 20 of them at most, sorted; absent when none is. */
  readonly absent?: readonly string[];
}

export interface ProxyStatus {
  /** node.id as the client sent it. */
  readonly node: string;
  /** Canonical service name; '' when the client did not say one. */
  readonly service: string;
  readonly kind: 'envoy' | 'grpc' | 'isthmus';
  /** The client's own version, such as `1.40.0`; '' when it did not say. */
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly connectedSince: number;
  /** Further types are there once the client has asked for one. */
  readonly types: Readonly<
    Record<ProxyType, ProxyTypeStatus> & Partial<Record<FurtherType, ProxyTypeStatus>>
  >;
  /** What its certificate says it is: a SPIFFE id, or DNS names. Absent: it came without TLS. */
  readonly identity?: string;
  /** Of which services it is told. Absent: `all`. */
  readonly scope?: Scope;
}
