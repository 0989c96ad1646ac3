// What a migration makes of a service's rules: its share becomes the merge policy, whatever else was configured.
import type { MigrationState } from '../model/migration-state.ts';
import type { MigrationSpec } from '../model/migration.ts';
import type { MergePolicy, ServiceRules } from '../model/rules.ts';
import type { TrafficRules } from '../model/traffic.ts';

/** @param state undefined: nobody has written one yet; then everything stays on the old side. */
export function rulesDuring(
  spec: MigrationSpec,
  state: MigrationState | undefined,
  rules: ServiceRules,
): ServiceRules {
  const mirrored = mirrors(spec, state);
  const traffic: TrafficRules = {
    ...rules.traffic,
    ...(spec.stickyBy && { balancer: { ringHash: { header: spec.stickyBy.header } } }),
    ...(mirrored && { mirror: { source: spec.to, percent: mirrored.percent } }),
  };
  return {
    ...rules,
    policy: policyDuring(spec, state),
    // What mirrored requests go to.
    pin: rules.pin || spec.mirror !== undefined,
    ...(Object.keys(traffic).length > 0 && { traffic }),
  };
}

function policyDuring({ from, to, canary }: MigrationSpec, state: MigrationState | undefined): MergePolicy {
  const split = canary && { split: { source: from, labels: canary, side: to } };
  if (state?.phase === 'retired') return { kind: 'weighted', shares: { [to]: 100 }, ...split };
  const percent = state?.percent ?? 0;
  return { kind: 'weighted', shares: { [from]: 100 - percent, [to]: percent }, first: to, ...split };
}

/** While mirroring; and beyond it where mirrored requests are counted for want of others. */
function mirrors(
  { mirror, gates }: MigrationSpec,
  state: MigrationState | undefined,
): MigrationSpec['mirror'] {
  if (!mirror || !state) return undefined;
  if (state.phase === 'mirroring') return mirror;
  const isStepping = state.phase === 'stepping' || state.phase === 'awaitingApproval';
  return isStepping && gates.successRate?.onMissing === 'mirror' ? mirror : undefined;
}
