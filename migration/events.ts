// What happened, in words for the journal and as data for the webhook. Pure.
import type { MigrationState } from '../model/migration-state.ts';
import type { MigrationSpec } from '../model/migration.ts';

/** '' when it is not worth a line. */
export function textOfChange(before: MigrationState | undefined, after: MigrationState | undefined): string {
  if (!after) return before ? 'migration: its resource is gone, and what it decided with it' : '';
  if (
    before &&
    before.phase === after.phase &&
    before.percent === after.percent &&
    before.step === after.step
  )
    return '';
  const phase = before?.phase ?? 'new';
  const phases = phase === after.phase ? phase : `${phase} → ${after.phase}`;
  const shares =
    !before || before.percent === after.percent ? '' : `, ${before.percent} % → ${after.percent} %`;
  const said = after.verdicts
    .filter(({ text }) => !after.reason.includes(text))
    .map(({ gate, verdict, text }) => `${gate} ${verdict}: ${text}`)
    .join('; ');
  return `migration ${phases}${shares}: ${after.reason}${said === '' ? '' : ` (${said})`}`;
}

export function eventOf(
  { service, from, to }: MigrationSpec,
  before: MigrationState | undefined,
  after: MigrationState,
  now: number,
): object {
  return {
    time: new Date(now).toISOString(),
    service,
    from,
    to,
    phaseBefore: before?.phase ?? null,
    phase: after.phase,
    step: after.step,
    percentBefore: before?.percent ?? 0,
    percent: after.percent,
    attempt: after.attempt,
    reason: after.reason,
    by: after.by,
    gates: after.verdicts,
  };
}
