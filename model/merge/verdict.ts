// Rules 4 to 6 for one endpoint: its health, its weight, and why. The only place where they are decided:
// `explain` prints what stands here.
import { endpointKey } from '../endpoint.ts';
import type { Endpoint, Labels } from '../endpoint.ts';
import type { EndpointOverride } from '../rules.ts';
import { APP_PORT_LABEL, HEALTH_PATH_LABEL } from '../sidecars.ts';
import type { ServiceShards } from '../snapshot.ts';
import type { HealthVerdict, Verdict, WeightFactor } from './types.ts';
import { heard, sure } from './witnesses.ts';
import type { Witness } from './witnesses.ts';

export interface Judged {
  readonly endpoint: Endpoint;
  readonly sources: readonly string[];
  /** Sources whose share it may count for. */
  readonly counted: readonly string[];
  readonly verdict: Verdict;
}

/** @param witnesses at least one, in the order of the config. */
export function judge(witnesses: readonly [Witness, ...Witness[]], slice: ServiceShards): Judged {
  const counted = sure(witnesses);
  const speakers = heard(counted);
  const first = speakers[0] ?? witnesses[0];
  const key = endpointKey(first.endpoint);
  const override = slice.overrides.get(key);
  const conflicts = slice.conflicts.get(key) ?? [];
  const factors = factorsOf(first, speakers, override);
  const health = healthOf(speakers, {
    override,
    damping: dampingOf(speakers),
    blocked: conflicts.length > 0 && slice.rules.identity === 'strict' && !witnesses.some(isProven),
    conflicts,
  });
  const { doubted, expired } = first.mark;
  const quarantined = witnesses.find(({ mark }) => mark.quarantined)?.mark.quarantined;
  return {
    endpoint: {
      ...first.endpoint,
      health: health.value,
      weight: factors.reduce((product, { value }) => product * value, 1),
      labels: labelsOf(first, witnesses, override),
    },
    sources: namesOf(witnesses),
    counted: namesOf(counted),
    verdict: {
      by: first.source,
      since: first.since,
      heard: namesOf(speakers),
      health,
      factors,
      conflicts,
      ...(doubted ? { doubted } : {}),
      ...(expired ? { expired } : {}),
      ...(quarantined ? { quarantined } : {}),
    },
  };
}

/** A registry's word may come first: that a sidecar stands there is known all the same. */
function labelsOf(
  { endpoint }: Witness,
  witnesses: readonly Witness[],
  override: EndpointOverride | undefined,
): Labels {
  const sidecar = witnesses.find(isSidecar)?.endpoint.labels;
  const isSaid = !sidecar || sidecar === endpoint.labels;
  if (isSaid && !override?.labels) return endpoint.labels;
  const { [APP_PORT_LABEL]: appPort = '', [HEALTH_PATH_LABEL]: path = '/' } = sidecar ?? {};
  return {
    ...endpoint.labels,
    ...(isSaid ? {} : { [APP_PORT_LABEL]: appPort, [HEALTH_PATH_LABEL]: path }),
    ...override?.labels,
  };
}

const isSidecar = ({ endpoint, mark }: Witness): boolean =>
  endpoint.labels[APP_PORT_LABEL] !== undefined && !mark.doubted && !mark.quarantined;

const namesOf = (witnesses: readonly Witness[]): readonly string[] => witnesses.map(({ source }) => source);

const isProven = ({ mark }: Witness): boolean => mark.proven !== undefined;

/** Of several witnesses the calmest one counts: what one source saw flap, another saw stand. */
const dampingOf = (speakers: readonly Witness[]): number =>
  speakers.reduce((most, { mark }) => Math.max(most, mark.damping ?? 1), 0);

/** Likewise an endpoint is only new when all of them say so. */
const warmUpOf = (speakers: readonly Witness[]): number =>
  speakers.reduce((most, { mark }) => Math.max(most, mark.warmUp ?? 1), 0);

interface HealthInputs {
  readonly override: EndpointOverride | undefined;
  readonly damping: number;
  /** Two services claim it, and neither may have it yet. */
  readonly blocked: boolean;
  readonly conflicts: readonly string[];
}

/** Rule 5: intent before observation, and silence is never bad news. */
function healthOf(speakers: readonly Witness[], inputs: HealthInputs): HealthVerdict {
  const { override } = inputs;
  const drain = (reason: HealthVerdict['reason'], by: string): HealthVerdict => ({
    value: 'draining',
    reason,
    by,
  });
  if (override?.drain || override?.weight === 0) return drain('operator', override.by);
  const leaving = speakers.find(({ endpoint }) => endpoint.health === 'draining');
  if (leaving) return drain('intent', leaving.source);
  const unweighted =
    override?.weight === undefined && speakers.find(({ endpoint }) => !(endpoint.weight > 0));
  if (unweighted) return drain('weight-zero', unweighted.source);
  const first = speakers[0]?.source ?? '';
  if (!(inputs.damping > 0)) return drain('damping', first);
  if (speakers.every(({ lost }) => lost)) return drain('lost', first);
  if (inputs.blocked) return drain('conflict', inputs.conflicts.join(', '));
  const telling = speakers.filter(({ endpoint }) => endpoint.health !== 'unknown');
  // Who stands beside the app knows better than a registry.
  const status = telling.find(isSidecar) ?? telling[0];
  if (!status) return { value: 'unknown', reason: 'silence', by: '' };
  return { value: status.endpoint.health, reason: 'status', by: status.source };
}

/** Rule 6. A factor of 1 that nobody set is not listed. */
function factorsOf(
  first: Witness,
  speakers: readonly Witness[],
  override: EndpointOverride | undefined,
): readonly WeightFactor[] {
  const base: WeightFactor =
    override?.weight === undefined
      ? { name: 'registry', value: first.endpoint.weight, origin: first.source }
      : { name: 'operator', value: override.weight, origin: override.by };
  const [warmUp, damping] = [warmUpOf(speakers), dampingOf(speakers)];
  const more: WeightFactor[] = [];
  if (warmUp !== 1) more.push({ name: 'warm-up', value: warmUp, origin: first.source });
  if (damping !== 1) more.push({ name: 'damping', value: damping, origin: first.source });
  return [base, ...more];
}
