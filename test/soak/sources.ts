// The soak of the sources: true registries of all kinds, one real control plane, random changes and faults at
// all of them at once. The catalogue must be the union of the registries after each fault, must lose nothing
// meanwhile, and the control plane's memory must be flat.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeError } from '../../lib/errors.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { make, runLane } from './lane.ts';
import type { Outcome } from './lane.ts';
import { Memory } from './memory.ts';
import { seconds } from './numbers.ts';
import { Random } from './random.ts';
import { KIND_NAMES, startable } from './registries/index.ts';
import type { Registry } from './registries/registry.ts';
import { PROMISED_MS, reportText } from './report.ts';
import { drawInstances, plan } from './schedule.ts';
import { Truth } from './truth.ts';
import type { Soak, SoakOptions } from './types.ts';
import { Watcher } from './watcher.ts';

/** The promise five times: a bound on liveness on any machine; what was reached is reported. */
const BOUND_MS = 5 * PROMISED_MS;
/** Lanes end the step they are in, which may be Eureka's coming back after a long fault. */
const GRACE_MS = 5 * 60_000;
const MAX_VIOLATIONS = 25;
/** In every registry, so that an address has several witnesses. */
const SHARED = ['orders', 'payments'];

interface Stage {
  readonly registries: Map<string, Registry>;
  readonly truths: Map<string, Truth>;
  control?: ControlPlaneProcess;
  readonly folder: string;
}

const ownServices = (kind: string) => [`${kind}-a`, `${kind}-b`];
/** Never changed: a registry that lost everything at once is not believed by some sources, and rightly. */
const anchorOf = (kind: string) => `${kind}-anchor`;

export const sources: Soak = {
  title: 'every source, on true registries',
  kinds: KIND_NAMES,
  async run(options, signal) {
    const stage: Stage = {
      registries: new Map(),
      truths: new Map(),
      folder: await mkdtemp(join(tmpdir(), 'isthmus-soak-')),
    };
    try {
      await setUp(stage, options, signal);
      return await soak(stage, options, signal);
    } finally {
      await stage.control?.stop();
      await Promise.all([...stage.registries.values()].map((registry) => registry.stop()));
      await rm(stage.folder, { recursive: true, force: true });
    }
  },
};

async function setUp(stage: Stage, options: SoakOptions, signal: AbortSignal): Promise<void> {
  const { kinds, seed, say } = options;
  const { found, skipped } = await startable(kinds);
  for (const reason of skipped) say(`left out: ${reason}`);
  for (const { kind, start } of found) {
    signal.throwIfAborted();
    const services = [...SHARED, ...ownServices(kind), anchorOf(kind)];
    const startedAt = performance.now();
    const registry = await start(services);
    stage.registries.set(kind, registry);
    const truth = new Truth();
    stage.truths.set(kind, truth);
    const random = Random.named(seed, `${kind} at first`);
    const anchor = {
      service: anchorOf(kind),
      instances: [{ address: '10.2.0.1', port: 8_000 + stage.truths.size }],
    };
    await make({ registry, truth }, anchor, signal);
    for (const service of services.slice(0, -1)) {
      await make({ registry, truth }, { service, instances: drawInstances(random, service) }, signal);
    }
    say(`${kind} is up after ${seconds(performance.now() - startedAt)}`);
  }
  stage.control = await startControlPlane(
    stage.folder,
    [...stage.registries].map(([name, { source }]) => ({ name, ...source })),
  );
}

async function soak(stage: Stage, options: SoakOptions, signal: AbortSignal): Promise<boolean> {
  const { minutes, seed, say } = options;
  const adminUrl = stage.control?.adminUrl ?? '';
  const over = new AbortController();
  const outcomes: Outcome[] = [];
  const violations: string[] = [];
  const violated = (text: string) => {
    violations.push(`${new Date().toISOString().slice(11, 19)} ${text}`);
    say(`VIOLATION ${text}`);
    if (violations.length >= MAX_VIOLATIONS) over.abort(new Error('too many violations'));
  };
  const end = performance.now() + minutes * 60_000;
  const bound = AbortSignal.timeout(minutes * 60_000 + GRACE_MS);
  const stop = AbortSignal.any([signal, over.signal, bound]);
  const watcher = new Watcher(adminUrl, stage.truths, violated);
  const memory = new Memory();
  const done = (outcome: Outcome) => {
    outcomes.push(outcome);
    const { kind, what, lagMs, seenDark } = outcome;
    if (options.verbose || lagMs > PROMISED_MS) {
      say(`${kind}: ${what}${seenDark ? ' (dark)' : ''}: equal after ${seconds(lagMs)}`);
    }
  };
  const watching = watcher.run(over.signal);
  const beside = [watching, memory.run(adminUrl, over.signal)];
  const lanes = [...stage.registries].map(async ([kind, registry]) => {
    const truth = stage.truths.get(kind) ?? new Truth();
    const lane = { kind, services: [...SHARED, ...ownServices(kind)], faults: registry.faults };
    await watcher.untilEqual(kind, BOUND_MS, stop);
    const steps = plan(seed, lane, minutes);
    const isOver = () => performance.now() > end;
    await runLane({ kind, registry, truth, watcher, steps, boundMs: BOUND_MS, isOver, done, violated }, stop);
  });
  try {
    await Promise.race([Promise.all(lanes), watching.then(() => Promise.all(lanes))]);
    for (const kind of stage.registries.keys()) await watcher.untilEqual(kind, BOUND_MS, stop);
  } catch (thrown) {
    violations.push(`ended early: ${describeError(thrown)}`);
  }
  over.abort(new Error('over'));
  await Promise.allSettled([...beside, ...lanes]);
  for (const [name, { flat }] of memory.verdicts()) if (!flat) violations.push(`${name} is not flat`);
  const healed = new Map([...stage.registries].map(([kind, registry]) => [kind, registry.healed]));
  say(reportText({ healed, outcomes, memory: memory.verdicts(), violations, looks: watcher.looks }));
  if (violations.length > 0)
    say(`the control plane's last words:\n${stage.control?.log().slice(-6_000) ?? ''}`);
  return violations.length === 0;
}
