// The gates: each looks at the facts and says pass, fail or wait, with the numbers that it went by. Pure. A gate that
// cannot know says `wait`; it never guesses.
import type { GateVerdict } from '../model/migration-state.ts';
import type { LatencyGate, MigrationGates, MigrationSpec, SuccessRateGate } from '../model/migration.ts';
import type { Counts, Facts } from './facts.ts';

/**
 * The share, 0…100, that the new side can carry, by what the old one had when the attempt began. 0 when it has nothing
 * ready.
 */
export function carries({ gates }: Pick<MigrationSpec, 'gates'>, facts: Facts, baseline: number): number {
  const ready = weightOf(gates, facts);
  if (!(ready > 0)) return 0;
  const needed = gates.readyCapacity * baseline;
  if (!(needed > 0) || ready >= needed) return 100;
  // Whole percents, so that an instance that comes and goes does not move the share by crumbs.
  const percent = (100 * ready) / needed;
  return percent >= 1 ? Math.floor(percent) : percent;
}

const weightOf = ({ identity }: MigrationGates, { to }: Facts): number =>
  identity === 'proven' ? to.provenWeight : to.readyWeight;

/** @param percent the share that is to be carried. */
export function capacityVerdict(
  spec: MigrationSpec,
  facts: Facts,
  baseline: number,
  percent: number,
): GateVerdict {
  const { gates, to } = spec;
  const ready = weightOf(gates, facts);
  const wanted = (percent / 100) * baseline;
  const ratio = wanted > 0 ? ready / wanted : ready > 0 ? 1 : 0;
  const kind = gates.identity === 'proven' ? 'ready and proven' : 'ready';
  const text = `${to} has ${number(ready)} ${kind} of ${number(wanted)} for ${number(percent)} %, wanted ${number(gates.readyCapacity)} of that`;
  const verdict = !(ready > 0) ? 'fail' : carries(spec, facts, baseline) >= percent ? 'pass' : 'wait';
  return {
    gate: 'readyCapacity',
    verdict,
    text,
    numbers: { ready, proven: facts.to.provenWeight, baseline, percent, ratio, wanted: gates.readyCapacity },
  };
}

function identityVerdict({ gates, to }: MigrationSpec, facts: Facts): GateVerdict {
  const { violations } = facts.to;
  const isBad = violations.length > 0 && gates.identity !== 'permissive';
  return {
    gate: 'identity',
    verdict: isBad ? 'fail' : 'pass',
    text:
      violations.length === 0
        ? `no address of ${to} answers as another service`
        : `${violations.length} of ${to}: ${violations.slice(0, 3).join('; ')}`,
    numbers: { violations: violations.length, proven: facts.to.provenWeight },
  };
}

/** @param onlyMirrored nobody gets answers of the new side yet. */
function successVerdict(
  gate: SuccessRateGate,
  spec: MigrationSpec,
  facts: Facts,
  onlyMirrored: boolean,
): GateVerdict {
  const { minPercent, minRequests, windowMs, onMissing } = gate;
  const own = facts.counts(onlyMirrored ? 'mirrored' : 'to', windowMs);
  const isShort = requests(own) < minRequests;
  const borrows = isShort && !onlyMirrored && onMissing === 'mirror';
  const counts = borrows ? sum(own, facts.counts('mirrored', windowMs)) : own;
  const there = facts.counts('from', windowMs);
  const all = requests(counts);
  const rate = rateOf(counts);
  const what = onlyMirrored ? ' mirrored' : borrows ? ' (mirrored ones counted)' : '';
  const base =
    requests(there) === 0 ? '' : `; ${spec.from} ${rateOf(there).toFixed(2)} % of ${requests(there)}`;
  const shown = `${spec.to} ${rate.toFixed(2)} % of ${all}${what} requests (${counts.errors} failed) in ${seconds(windowMs)}, wanted ${minPercent} %${base}`;
  const numbers = {
    requests: all,
    errors: counts.errors,
    percent: rate,
    wanted: minPercent,
    minRequests,
    sourceRequests: requests(there),
    sourceErrors: there.errors,
    sourcePercent: rateOf(there),
  };
  // So many have failed that even good ones up to the minimum could not make up for them.
  const isLost = counts.errors > (Math.max(all, minRequests) * (100 - minPercent)) / 100;
  if (isLost) return { gate: 'successRate', verdict: 'fail', text: shown, numbers };
  if (all >= minRequests) return { gate: 'successRate', verdict: 'pass', text: shown, numbers };
  const text = `not enough traffic: ${all} of ${minRequests}${what} requests to ${spec.to} in ${seconds(windowMs)}`;
  return { gate: 'successRate', verdict: 'wait', text, numbers };
}

function latencyVerdict(
  gate: LatencyGate,
  spec: MigrationSpec,
  facts: Facts,
  onlyMirrored: boolean,
  remembered: number | undefined,
): GateVerdict {
  const { windowMs, maxRatioToSource, onMissing } = gate;
  const now = facts.counts('from', windowMs).p99Ms;
  const there = now ?? remembered;
  const { p99Ms: here, p99LeastMs: least = here } = facts.counts(onlyMirrored ? 'mirrored' : 'to', windowMs);
  if (there === undefined || here === undefined) {
    const of = [...(there === undefined ? [spec.from] : []), ...(here === undefined ? [spec.to] : [])];
    return {
      gate: 'latencyP99',
      verdict: onMissing === 'ignore' ? 'pass' : 'wait',
      text: `no p99 of ${of.join(' and ')} is reported${onMissing === 'ignore' ? ', which is ignored' : ''}`,
      numbers: {},
    };
  }
  const ratio = there > 0 ? here / there : 1;
  const isSlow = ratio > maxRatioToSource;
  // A p99 of few requests goes up and down by itself.
  const mayBeChance = isSlow && (least ?? here) <= maxRatioToSource * there;
  return {
    gate: 'latencyP99',
    verdict: mayBeChance ? 'wait' : isSlow ? 'fail' : 'pass',
    text: `${mayBeChance ? 'may be chance: ' : ''}p99 of ${spec.to} is ${here.toFixed(1)} ms, ${ratio.toFixed(2)} of the ${there.toFixed(1)} ms of ${spec.from}${now === undefined ? ' before this step' : ''}, wanted at most ${maxRatioToSource} in ${seconds(windowMs)}`,
    numbers: { p99Ms: here, sourceP99Ms: there, ratio, wanted: maxRatioToSource },
  };
}

/**
 * What data planes and pings say of the new side as it is used now.
 * @param sourceP99Ms of the old side, for when it has too few requests to tell one.
 */
export function trafficVerdicts(
  spec: MigrationSpec,
  facts: Facts,
  onlyMirrored: boolean,
  sourceP99Ms?: number,
): readonly GateVerdict[] {
  const { successRate, latencyP99 } = spec.gates;
  return [
    ...(successRate ? [successVerdict(successRate, spec, facts, onlyMirrored)] : []),
    ...(latencyP99 ? [latencyVerdict(latencyP99, spec, facts, onlyMirrored, sourceP99Ms)] : []),
    identityVerdict(spec, facts),
  ];
}

const requests = ({ successes, errors }: Counts): number => successes + errors;

const rateOf = (counts: Counts): number =>
  requests(counts) === 0 ? 100 : (100 * counts.successes) / requests(counts);

const sum = (a: Counts, b: Counts): Counts => ({
  successes: a.successes + b.successes,
  errors: a.errors + b.errors,
});

const seconds = (ms: number): string => `${number(ms / 1_000)} s`;

const number = (value: number): string => String(Math.round(value * 100) / 100);
