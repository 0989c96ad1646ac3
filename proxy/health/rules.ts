// What an active health check is, as plain data, compiled from xDS (proxy/xds/health.ts). Times are milliseconds.

export interface HealthRules {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failures, and successes, in a row that change what is thought of a host. */
  readonly fall: number;
  readonly rise: number;
  /** Between checks of a host that fails, or is about to be thought of otherwise. */
  readonly unhealthyMs: number;
  readonly unhealthyEdgeMs: number;
  readonly healthyEdgeMs: number;
  /** While the cluster never had a connection. */
  readonly noTrafficMs: number;
  readonly noTrafficHealthyMs: number;
  /** Up to so much is waited before the first check. */
  readonly initialJitterMs: number;
  /** Added to each wait: up to so much, and up to this percentage of it. */
  readonly jitterMs: number;
  readonly jitterPercent: number;
  /** A connection serves several checks. */
  readonly reuse: boolean;
  readonly question: Question;
}

export type Question = HttpQuestion | TcpQuestion | GrpcQuestion;

export interface HttpQuestion {
  readonly kind: 'http';
  readonly method: string;
  readonly path: string;
  /** '' is the cluster's name. */
  readonly host: string;
  /** Name in lower case, and value; those in `overwrite` take the place of our own. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly without: readonly string[];
  readonly expects: (status: number) => boolean;
  /** A failure that counts as one of several, not at once. */
  readonly retries: (status: number) => boolean;
  /** Who has to have answered; undefined: anybody may. */
  readonly named?: (name: string) => boolean;
}

export interface TcpQuestion {
  readonly kind: 'tcp';
  /** Empty: a connection is all that is asked for. */
  readonly send: Buffer;
  /** Found in the answer one behind the other. */
  readonly receive: readonly Buffer[];
}

export interface GrpcQuestion {
  readonly kind: 'grpc';
  readonly service: string;
  /** '' is the cluster's name. */
  readonly authority: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** Where a host is asked. */
export interface CheckPlace {
  readonly address: string;
  readonly port: number;
  /** What the Host of the check is when the question leaves it open; never ''. */
  readonly host: string;
}

/** What one check found. */
export interface Finding {
  readonly ok: boolean;
  /** Alive, and should get less. */
  readonly degraded: boolean;
  /** It answered, but asks to be left out for now. */
  readonly excluded: boolean;
  /** No answer at all, or one that the rules call worth another try: counts as one of several. */
  readonly mayBeChance: boolean;
  readonly timedOut: boolean;
  /** In whose name it answered; '' when it did not say. */
  readonly name: string;
  /** It said that it is not who was asked for. */
  readonly misdirected: boolean;
}

const NOTHING: Finding = {
  ok: false,
  degraded: false,
  excluded: false,
  mayBeChance: false,
  timedOut: false,
  name: '',
  misdirected: false,
};

export const WELL: Finding = { ...NOTHING, ok: true };
/** It answered, and not well. */
export const BAD: Finding = NOTHING;
/** It did not answer. */
export const SILENT: Finding = { ...NOTHING, mayBeChance: true };
export const LATE: Finding = { ...SILENT, timedOut: true };
