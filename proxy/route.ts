// What a route says of a request, compiled when xDS changes.
import type { PickKey } from './balancers/types.ts';
import type { RouteSetting } from './filters/rules.ts';
import type { HeadRewrite, HeaderEdits } from './http/edit-rules.ts';
import type { UpgradeRules } from './http/upgrade.ts';
import type { RequestKey } from './keys.ts';
import type { RetryRules } from './retry/rules.ts';

export interface Route {
  /** As its configuration names it; absent: it does not. */
  readonly name?: string;
  /** What spans of its requests are called; absent: by the listener's direction. */
  readonly operation?: string;
  /** Name of the cluster; one that is not in the table answers 503. '' when `reply` answers. */
  readonly cluster: string;
  /** From the end of the request to the end of its response; 0 is off. */
  readonly timeoutMs: number;
  /** Absent: never tried again. */
  readonly retry?: RetryRules;
  /** Fills the hash of a request into `key`, or leaves it unhashed; absent: never hashed. */
  readonly hash?: RequestHash;
  /** Name of the subset that metadata_match asks for. */
  readonly subset?: string;
  /** Instead of the listener's idle timeout; 0 is off. */
  readonly idleMs?: number;
  readonly duration?: DurationRules;
  /** Body bytes that are kept for a retry or a mirror. Default: the listener's limit. */
  readonly bufferBytes?: number;
  /** Which circuit breaker counts: 1 is high. Default 0. */
  readonly priority?: 0 | 1;
  /** Status for a cluster that is not in the table. Default 503. */
  readonly unknownStatus?: number;
  /** Number of the attempt as x-envoy-attempt-count. */
  readonly attemptCount?: { readonly request: boolean; readonly response: boolean };
  readonly rewrite?: HeadRewrite;
  readonly requestEdits?: readonly HeaderEdits[];
  readonly responseEdits?: readonly HeaderEdits[];
  readonly mirrors?: readonly Mirror[];
  /** Over what the listener says. */
  readonly upgrades?: UpgradeRules;
  /** Settings of filters for this route, by the filter's name. */
  readonly filters?: ReadonlyMap<string, RouteSetting>;
  /** Weighted clusters: this route stands for one of these. */
  readonly split?: {
    readonly routes: readonly Route[];
    readonly ends: readonly number[];
    readonly total: number;
  };
  /** Answered here. */
  readonly reply?: RouteReply;
}

export interface DurationRules {
  /** A request may take this long as a whole; 0 is off. undefined: the listener's. */
  readonly maxMs?: number;
  /** The request's grpc-timeout counts, up to this; 0: without a bound. */
  readonly grpcMaxMs?: number;
  /** Taken off grpc-timeout. */
  readonly grpcOffsetMs?: number;
}

export interface Mirror {
  readonly cluster: string;
  /** 0…1. */
  readonly part: number;
  /** `-shadow` behind the name in Host. */
  readonly suffix: boolean;
}

export interface RouteReply {
  readonly status: number;
  readonly body: string;
  /** Makes the Location of a redirect; absent: none. */
  readonly location?: (request: RequestKey) => string;
}

/** @param client address of the client, without port. */
export type RequestHash = (request: RequestKey, client: string, key: PickKey) => void;

export const NO_ROUTE: Route = { cluster: '', timeoutMs: 0 };
