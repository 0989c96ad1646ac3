// What filters are set to, for a whole listener or for one route.
import type { RequestKey } from '../keys.ts';
import type { TokenBucket } from './token-bucket.ts';

export interface RateLimit {
  /** undefined: no limit. */
  readonly bucket?: TokenBucket;
  readonly status: number;
  /** Part (0…1) of requests that ask for a token, and of those without one that are refused. */
  readonly enabled: number;
  readonly enforced: number;
  /** Of an answer to a refused request; each as `name: value CRLF`. */
  readonly fields: string;
}

/** How much of it, and to which part (0…1) of the requests. */
export interface FaultPart {
  /** Milliseconds, or a status; undefined: the request's header says it. */
  readonly value?: number;
  readonly part: number;
}

export interface Fault {
  readonly delay?: FaultPart;
  readonly abort?: FaultPart;
  /** Only requests to this cluster; undefined: to any. */
  readonly cluster?: string;
  readonly matches?: (request: RequestKey) => boolean;
}

export interface SettingKinds {
  readonly 'rate-limit': RateLimit;
  readonly fault: Fault;
}

export type RouteSetting =
  | { readonly kind: 'off' }
  | {
      readonly [K in keyof SettingKinds]: { readonly kind: K; readonly value: SettingKinds[K] };
    }[keyof SettingKinds];
