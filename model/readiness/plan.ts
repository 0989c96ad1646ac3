// `migrate plan`: is a service ready to move from one source to another? Puts together what the parts find, and
// gives it a score. Pure: equal facts give equal answers.
import { callersOf, traffic } from './callers.ts';
import { identity } from './identity.ts';
import { likeness } from './likeness.ts';
import { presence } from './presence.ts';
import { sideOf } from './side.ts';
import type { Finding, GatesAsked, Readiness, ReadinessFacts, Severity } from './types.ts';
import { NOTHING, seen } from './words.ts';

const ORDER: readonly Severity[] = ['blocker', 'warning', 'note'];

export function readinessOf(facts: ReadinessFacts): Readiness {
  const { service, from, to } = facts;
  const [old, next] = [sideOf(from, facts), sideOf(to, facts)];
  const callers = callersOf(facts);
  const findings = [
    ...presence(old, next, facts),
    ...likeness(old, next),
    ...identity(old, next, facts),
    ...rules(facts),
    ...traffic(callers, facts),
  ].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
  return {
    service,
    from,
    to,
    ready: !findings.some(({ severity }) => severity === 'blocker'),
    score: scoreOf(findings),
    sides: { from: old.summary, to: next.summary },
    callers,
    findings,
    unknown: unknownOf(facts),
  };
}

/**
 * Without a blocker: 100, less 5 for each warning, never below 50. With blockers: 49, less 10 for each after the
 * first and 1 for each warning, never below 0. Notes cost nothing.
 */
export function scoreOf(findings: readonly Pick<Finding, 'severity'>[]): number {
  const count = (wanted: Severity) => findings.filter(({ severity }) => severity === wanted).length;
  const [blockers, warnings] = [count('blocker'), count('warning')];
  if (blockers === 0) return Math.max(50, 100 - 5 * warnings);
  return Math.max(0, 49 - 10 * (blockers - 1) - warnings);
}

function rules({
  slice,
  service,
  from,
  to,
  policyOrigin,
  running,
  hasMigration,
}: ReadinessFacts): readonly Finding[] {
  const found: Finding[] = [];
  if (running) {
    found.push({
      code: 'already-running',
      severity: 'blocker',
      title: `the migration ${running.name} of ${service} is not over`,
      from: seen(running.from, running.state),
      to: seen(running.to, running.state),
      todo: `See \`isthmus migrate status ${service}\`; finish it, or roll it back.`,
    });
  }
  const policy = hasMigration ? undefined : slice?.rules.policy;
  if (policy?.kind === 'isolate') {
    found.push({
      code: 'policy-isolates',
      severity: 'blocker',
      title: 'its policy is isolate: callers name a side, so no share can be moved',
      from: seen(`${service}@${from}`, policyOrigin),
      to: seen(`${service}@${to}`, policyOrigin),
      todo: 'Give the service the policy union (a ServicePolicy), and let callers use its plain name.',
    });
  } else if (policy?.kind === 'prefer' || policy?.kind === 'weighted') {
    const text =
      policy.kind === 'prefer'
        ? `prefer ${policy.sources.join(', ')}`
        : `weighted ${Object.entries(policy.shares)
            .map(([source, share]) => `${source} ${share}`)
            .join(', ')}`;
    found.push({
      code: 'policy-overridden',
      severity: 'warning',
      title: 'its policy says already who gets the traffic; the migration counts instead while it lasts',
      from: seen(text, policyOrigin),
      to: NOTHING,
      todo: 'Make the policy say what shall hold when the migration is over, or take it away.',
    });
  }
  return found;
}

function unknownOf({ pings, proxies, load, service }: ReadinessFacts): readonly string[] {
  const reasons = new Set([...pings.values()].flatMap((said) => ('notAsked' in said ? [said.notAsked] : [])));
  return [
    ...[...reasons].map((reason) => `who answers at some addresses: not pinged, ${reason}`),
    'callers that use neither a data plane of this control plane nor its load reports: nothing tells of them',
    ...(load.some((row) => row.service === service) && proxies.length > 0
      ? []
      : ['how much traffic there is: no load reports yet']),
  ];
}

/** What a migration asks for whose resource says nothing else, and what it should ask for beside it. */
export const DEFAULT_GATES: GatesAsked = {
  readyCapacity: 0.8,
  successRate: { windowMs: 60_000, minRequests: 100 },
  identity: 'strict',
  steps: [1, 10, 50, 100],
};
