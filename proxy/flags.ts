// Why an answer is what it is, in Envoy's words: response flags (%RESPONSE_FLAGS%) and the bodies of the
// answers that a proxy gives by itself. A set of flags is a number, one bit each, printed in the
// order in which they come up, as Envoy does.

const NAMES = [
  'DI',
  'URX',
  'UO',
  'UH',
  'UT',
  'UF',
  'UC',
  'NR',
  'FI',
  'RL',
  'DC',
  'SI',
  'DT',
  'UPE',
  'NC',
  'OM',
  'DPE',
] as const;

export type FlagName = (typeof NAMES)[number];

const bit = (name: FlagName): number => 1 << NAMES.indexOf(name);

export const Flag = {
  /** No healthy upstream. */
  UH: bit('UH'),
  /** Upstream request timeout. */
  UT: bit('UT'),
  /** Upstream connection failure. */
  UF: bit('UF'),
  /** Upstream connection termination. */
  UC: bit('UC'),
  /** Upstream overflow: a circuit breaker. */
  UO: bit('UO'),
  /** No route. */
  NR: bit('NR'),
  /** Delayed by a fault. */
  DI: bit('DI'),
  /** Aborted by a fault. */
  FI: bit('FI'),
  /** Rate limited. */
  RL: bit('RL'),
  /** The client went away. */
  DC: bit('DC'),
  /** No retry was left. */
  URX: bit('URX'),
  /** Stream idle timeout. */
  SI: bit('SI'),
  /** Stream lasted too long. */
  DT: bit('DT'),
  /** The upstream broke the protocol. */
  UPE: bit('UPE'),
  /** No such cluster. */
  NC: bit('NC'),
  /** Shed under overload. */
  OM: bit('OM'),
  /** The client broke the protocol. */
  DPE: bit('DPE'),
} as const satisfies Record<FlagName, number>;

export const FLAG_NAMES: readonly FlagName[] = NAMES;

/** `UF,URX`; `-` without any. */
export function flagText(flags: number): string {
  if (flags === 0) return '-';
  return NAMES.filter((_, i) => (flags & (1 << i)) !== 0).join(',');
}

const LONG: Readonly<Record<FlagName, string>> = {
  DI: 'DelayInjected',
  URX: 'UpstreamRetryLimitExceeded',
  UO: 'UpstreamOverflow',
  UH: 'NoHealthyUpstream',
  UT: 'UpstreamRequestTimeout',
  UF: 'UpstreamConnectionFailure',
  UC: 'UpstreamConnectionTermination',
  NR: 'NoRouteFound',
  FI: 'FaultInjected',
  RL: 'RateLimited',
  DC: 'DownstreamConnectionTermination',
  SI: 'StreamIdleTimeout',
  DT: 'DurationTimeout',
  UPE: 'UpstreamProtocolError',
  NC: 'NoClusterFound',
  OM: 'OverloadManagerTerminated',
  DPE: 'DownstreamProtocolError',
};

/** As flagText(), in words (%RESPONSE_FLAGS_LONG%). */
export function flagLongText(flags: number): string {
  if (flags === 0) return '-';
  return NAMES.filter((_, i) => (flags & (1 << i)) !== 0)
    .map((name) => LONG[name])
    .join(',');
}

/** Why an attempt ended without a response. */
export type ResetReason = 'overflow' | 'connect' | 'termination' | 'protocol' | 'timeout';

const RESETS: Readonly<
  Record<ResetReason, { readonly flag: number; readonly status: number; readonly text: string }>
> = {
  overflow: { flag: Flag.UO, status: 503, text: 'overflow' },
  connect: { flag: Flag.UF, status: 503, text: 'remote connection failure' },
  termination: { flag: Flag.UC, status: 503, text: 'connection termination' },
  protocol: { flag: Flag.UPE, status: 502, text: 'protocol error' },
  timeout: { flag: Flag.UT, status: 504, text: '' },
};

export const TIMEOUT_TEXT = 'upstream request timeout';

export interface ResetAnswer {
  readonly status: number;
  readonly flag: number;
  readonly text: string;
}

/** @param detail of a connection failure: the system's error code. @param retried it was not the first try. */
export function resetAnswer(reason: ResetReason, detail: string, retried: boolean): ResetAnswer {
  const { status, flag, text } = RESETS[reason];
  if (reason === 'timeout') return { status, flag, text: TIMEOUT_TEXT };
  const more =
    reason === 'connect'
      ? `, transport failure reason: ${detail}`
      : reason === 'protocol'
        ? `, ${detail}`
        : '';
  return {
    status,
    flag,
    text: `upstream connect error or disconnect/reset before headers. ${retried ? 'retried and the latest ' : ''}reset reason: ${text}${more}`,
  };
}
