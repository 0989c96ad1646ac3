// What happens to one registry, step by step: changes, faults, and after each the wait until the catalogue
// has the truth again.
import { sleep } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import { eventually } from '../support/eventually.ts';
import type { Registry } from './registries/registry.ts';
import type { Change, Step } from './schedule.ts';
import { compare, heldOf } from './truth.ts';
import type { Truth } from './truth.ts';
import type { Watcher } from './watcher.ts';

/** A registry that does not come back is a fault of the rig. Eureka's caches may be wrong for three minutes. */
const HEAL_MS = 300_000;
const WRITE_MS = 60_000;
/** One call of a hand; its client may hang when its server was killed under it. */
const CALL_MS = 15_000;

export interface Outcome {
  readonly kind: string;
  /** `changes`, or the faults. */
  readonly what: string;
  readonly changes: number;
  /** From the moment when the registry itself answered the truth to the look that found it in the catalogue. */
  readonly lagMs: number;
  readonly seenDark: boolean;
}

export interface LaneOptions {
  readonly kind: string;
  readonly registry: Registry;
  readonly truth: Truth;
  readonly watcher: Watcher;
  readonly steps: readonly Step[];
  /** The bound on a lag; beyond it, it is a violation. */
  readonly boundMs: number;
  isOver(): boolean;
  done(outcome: Outcome): void;
  violated(text: string): void;
}

/** Rejects when the rig fails, or when `signal` aborts. */
export async function runLane(options: LaneOptions, signal: AbortSignal): Promise<void> {
  for (const step of options.steps) {
    if (options.isOver()) return;
    await sleep(step.restMs, signal);
    options.watcher.forget(options.kind);
    if (step.type === 'changes') {
      for (const change of step.changes) await make(options, change, signal);
      await converge(options, 'changes', step.changes.length, signal);
    } else {
      await fault(options, step, signal);
      await converge(options, step.faults.join(' + '), step.during.length, signal);
    }
  }
}

/** First to be called for each registry: what it holds from the beginning. */
export async function make(
  { registry, truth }: Pick<LaneOptions, 'registry' | 'truth'>,
  change: Change,
  signal: AbortSignal,
): Promise<void> {
  truth.set(change.service, change.instances);
  const write = async () => {
    await within(CALL_MS, registry.hand.set(change.service, change.instances), signal);
    return true;
  };
  await eventually(write, { withinMs: WRITE_MS, everyMs: 500, what: `a change of ${change.service}` });
}

async function fault(options: LaneOptions, step: Step & { type: 'fault' }, signal: AbortSignal) {
  const faults = step.faults.map((name) => {
    const found = options.registry.faults.find((one) => one.name === name);
    if (!found) throw new Error(`${options.kind} has no fault "${name}"`);
    return found;
  });
  // Rights are taken while the server is there to be told.
  faults.sort((a, b) => Number(b.layer === 'access') - Number(a.layer === 'access'));
  for (const one of faults) await within(HEAL_MS, one.begin(), signal);
  const pauseMs = step.lastsMs / (step.during.length + 1);
  await sleep(pauseMs, signal);
  for (const change of step.during) {
    await make(options, change, signal);
    await sleep(pauseMs, signal);
  }
  for (const one of faults.reverse()) await within(HEAL_MS, one.end(), signal);
}

async function converge(options: LaneOptions, what: string, changes: number, signal: AbortSignal) {
  const { kind, registry, truth, watcher } = options;
  await eventually(
    async () => {
      const [first] = compare(truth.now(), heldOf(await within(CALL_MS, registry.hand.ask(), signal)));
      if (first !== undefined) throw new Error(first);
      return true;
    },
    { withinMs: HEAL_MS, everyMs: 100, what: `${kind} to answer the truth after: ${what}` },
  );
  const healedAt = performance.now();
  let lagMs = options.boundMs;
  try {
    lagMs = (await watcher.untilEqual(kind, options.boundMs, signal)) - healedAt;
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    options.violated(
      `${kind}: ${options.boundMs / 1_000} s after "${what}" it is not equal: ${describeError(thrown)}`,
    );
  }
  options.done({ kind, what, changes, lagMs, seenDark: watcher.wasDark(kind) });
}

/** The work, unless it takes longer, or `signal` aborts. */
async function within<T>(ms: number, work: Promise<T>, signal: AbortSignal): Promise<T> {
  const timer = new AbortController();
  const late = sleep(ms, AbortSignal.any([signal, timer.signal])).then(() => {
    throw new Error(`not within ${ms / 1_000} s`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort(new Error('done'));
  }
}
