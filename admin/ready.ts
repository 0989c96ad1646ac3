// Ready: every required source has answered once, or its last known good is loaded. A source that goes dark later does not take readiness
// away, because what it said is still served. Pure.
import type { FederationSnapshot, SourceState } from '../model/snapshot.ts';

export interface ReadyCheck {
  readonly name: string;
  readonly ok: boolean;
  /** `ok`, or what is the matter; also why a check that passes is not quite well. */
  readonly detail: string;
}

export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly ReadyCheck[];
}

/** @param sources as configured, in that order. */
export function readiness(
  snapshot: FederationSnapshot,
  sources: readonly { readonly name: string; readonly required: boolean }[],
): Readiness {
  const checks = sources.map(({ name, required }) => checkSource(name, required, snapshot.sources.get(name)));
  return { ready: checks.every((check) => check.ok), checks };
}

function checkSource(name: string, required: boolean, state: SourceState | undefined): ReadyCheck {
  if (state?.state === 'live') return { name, ok: true, detail: 'ok' };
  if (state?.lastSuccess !== undefined) {
    return { name, ok: true, detail: `stale, what it said is served: ${state.cause}` };
  }
  const cause = state?.cause ?? 'not started';
  return { name, ok: !required, detail: `${required ? '' : 'not required, '}syncing: ${cause}` };
}

/** In the manner of kube-apiserver: `[+]consul-dc1 ok`, one check a line, then the verdict. */
export function readinessText(readiness: Readiness): string {
  const lines = readiness.checks.map(({ name, ok, detail }) => `[${ok ? '+' : '-'}]${name} ${detail}`);
  return `${[...lines, readiness.ready ? 'readyz check passed' : 'readyz check failed'].join('\n')}\n`;
}
