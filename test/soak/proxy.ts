// The soak of the bundled proxy. Under steady load endpoints and policies change a hundred times a second, while
// hosts die, freeze, reset, fail, are slow and come back: no request may fail for which a host was there to answer,
// and memory, open files and promptness must be flat. Beside it the parsers' suites run over and over.
import { setMaxListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { sleep } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { columns } from './numbers.ts';
import type { Flatness } from './numbers.ts';
import { Callers } from './proxy/callers.ts';
import type { Failure } from './proxy/callers.ts';
import type { Lane } from './proxy/lane.ts';
import { judge } from './proxy/oracle.ts';
import { startRawLane } from './proxy/raw-lane.ts';
import { fuzzRound, readOn } from './proxy/readers.ts';
import { startServeLane } from './proxy/serve-lane.ts';
import { Vitals } from './proxy/vitals.ts';
import { World } from './proxy/world.ts';
import type { Soak, SoakOptions } from './types.ts';

const CHANGES_PER_S = 100;
const FAULTS_PER_S = 16;
const TICK_MS = 10;
/** Our own loop was held for longer than this: what was measured then says nothing of anybody. */
const STALL_MS = 500;
const MAX_VIOLATIONS = 25;
const UP_MS = 60_000;
/** A shorter run tells nothing of memory. */
const JUDGED_MINUTES = 4;
/** Of what is kept to judge by. */
const MEMORY_MS = 60_000;

interface Run {
  readonly options: SoakOptions;
  readonly over: AbortController;
  readonly violations: string[];
  readonly counts: Map<string, number>;
  readonly vitals: Map<string, Vitals>;
  readonly lines: string[];
}

export const proxy: Soak = {
  title: 'the bundled proxy under churn, and its parsers',
  kinds: ['raw', 'serve', 'readers'],
  async run(options, signal) {
    const run: Run = {
      options,
      over: new AbortController(),
      violations: [],
      counts: new Map(),
      vitals: new Map(),
      lines: [],
    };
    setMaxListeners(0, run.over.signal);
    const timer = setTimeout(() => run.over.abort(new Error('over')), options.minutes * 60_000);
    signal.addEventListener('abort', () => run.over.abort(signal.reason), { once: true });
    try {
      const { kinds } = options;
      const parts = [...(kinds.includes('readers') ? [readers(run)] : []), churn(run)];
      for (const part of await Promise.allSettled(parts)) {
        if (part.status === 'rejected') run.violations.push(`ended early: ${describeError(part.reason)}`);
      }
    } finally {
      clearTimeout(timer);
      run.over.abort(new Error('over'));
    }
    if (signal.aborted) run.violations.push('interrupted');
    if (options.minutes >= JUDGED_MINUTES) {
      for (const [name, vitals] of run.vitals) {
        for (const [what, { flat }] of vitals.verdicts()) {
          if (!flat) run.violations.push(`${name}: ${what} not flat`);
        }
      }
    }
    options.say(reportText(run));
    return run.violations.length === 0;
  },
};

async function churn(run: Run): Promise<void> {
  const { options, over } = run;
  const { seed, kinds } = options;
  if (!kinds.includes('raw') && !kinds.includes('serve')) return;
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-soak-proxy-'));
  const world = new World(seed);
  const lanes: Lane[] = [];
  try {
    await world.start();
    const envoy = options.envoy === true;
    if (kinds.includes('raw')) lanes.push(await startRawLane(world.services, envoy));
    if (kinds.includes('serve')) lanes.push(await startServeLane(world.services, envoy, folder));
    const stalls: { fromMs: number; toMs: number }[] = [];
    const loads = lanes.flatMap((lane) =>
      lane.planes.map((plane) => callersOf(run, world, lane, plane, stalls)),
    );
    const up = AbortSignal.any([over.signal, AbortSignal.timeout(UP_MS)]);
    for (const { callers } of loads) await callers.untilRouted(up);
    options.say('every service answers through every data plane');
    const beside = [...run.vitals.values()].map((vitals) => vitals.run(over.signal));
    await Promise.all([
      change(run, world, lanes, stalls),
      ...loads.map(({ callers }) => callers.run(over.signal)),
      ...beside,
    ]);
    for (const { name, callers } of loads) {
      const slowest = Math.round(callers.slowestMs);
      run.lines.push(`${name}: ${callers.good} requests went well, the slowest took ${slowest} ms`);
      if (callers.good === 0) run.violations.push(`${name}: no request went well`);
    }
    run.lines.push(`done: ${[...world.done].map(([what, n]) => `${n} ${what}`).join(', ')}`);
  } finally {
    await Promise.all(lanes.map((lane) => lane.stop()));
    await world.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function callersOf(
  run: Run,
  world: World,
  lane: Lane,
  plane: DataPlane,
  stalls: readonly { fromMs: number; toMs: number }[],
): { readonly name: string; readonly callers: Callers } {
  const name = `${lane.name}, ${plane.kind}`;
  const failed = (failure: Failure) => {
    const hosts = failure.service.members.map(({ host }) => host);
    const verdict = judge(failure, hosts, stalls, lane.settleMs);
    const counted = `${name}: ${verdict.kind === 'violation' ? 'failed' : verdict.kind}`;
    run.counts.set(counted, (run.counts.get(counted) ?? 0) + 1);
    if (verdict.kind !== 'violation') return;
    const took = Math.round(failure.toMs - failure.fromMs);
    const text = `${name}: ${failure.service.name} after ${took} ms, ${verdict.host} was there: ${failure.text}`;
    lane.shown(failure.service).then(
      (shown) => violated(run, `${text}; it shows ${shown}`),
      (thrown: unknown) => violated(run, `${text}; it shows nothing: ${describeError(thrown)}`),
    );
  };
  if (plane.pid !== undefined) {
    const ready = plane.adminUrl === undefined ? undefined : `${plane.adminUrl}/ready`;
    const prompt = ready === undefined ? undefined : async () => void (await (await fetch(ready)).text());
    run.vitals.set(name, new Vitals(plane.pid, prompt));
  }
  const { services } = world;
  return {
    name,
    callers: new Callers({ seed: run.options.seed, name, port: plane.port, services, failed }),
  };
}

function violated(run: Run, text: string): void {
  run.violations.push(`${new Date().toISOString().slice(11, 19)} ${text}`);
  run.options.say(`VIOLATION ${text}`);
  if (run.violations.length >= MAX_VIOLATIONS) run.over.abort(new Error('too many violations'));
}

/** Changes and faults at their rates, until it is over; looks after its own loop on the way. */
async function change(
  run: Run,
  world: World,
  lanes: readonly Lane[],
  stalls: { fromMs: number; toMs: number }[],
): Promise<void> {
  const { signal } = run.over;
  let before = performance.now();
  let [changes, faults] = [0, 0];
  while (!signal.aborted) {
    await sleep(TICK_MS, signal).catch(() => undefined);
    const now = performance.now();
    if (now - before > STALL_MS) stalls.push({ fromMs: before, toMs: now });
    const seconds = Math.min(1, (now - before) / 1_000);
    before = now;
    for (changes += seconds * CHANGES_PER_S; changes >= 1; changes -= 1) {
      const { service, what } = world.change();
      for (const lane of lanes) lane.tell(service, what);
    }
    for (faults += seconds * FAULTS_PER_S; faults >= 1; faults -= 1) {
      world.fault().catch((thrown: unknown) => violated(run, `the soak itself: ${describeError(thrown)}`));
    }
    for (const lane of lanes) for (const text of lane.refusals()) violated(run, `${lane.name}: ${text}`);
    for (const service of world.services) {
      for (const { host } of service.members) {
        host.well.forget(now - MEMORY_MS);
        host.told.forget(now - MEMORY_MS);
      }
    }
    while (stalls[0] && stalls[0].toMs < now - MEMORY_MS) stalls.shift();
  }
}

async function readers(run: Run): Promise<void> {
  const { options, over } = run;
  const reading = readOn(options.seed, over.signal);
  const vitals = new Vitals(reading.pid);
  run.vitals.set('readers', vitals);
  const watched = vitals.run(over.signal);
  let rounds = 0;
  const fuzzing = (async () => {
    while (!over.signal.aborted) {
      const { code, text } = await fuzzRound(over.signal).ended;
      if (code !== 0) violated(run, `fuzz: ${text}`);
      if (!over.signal.aborted) rounds += 1;
    }
  })();
  const { code, text } = await reading.ended;
  if (code !== 0) violated(run, `readers: ${text}`);
  await Promise.all([fuzzing, watched]);
  run.lines.push(`readers: ${text.trim()}; ${rounds} rounds of the fuzz suite`);
}

function reportText({ options, lines, counts, vitals, violations }: Run): string {
  const rows = [...vitals].flatMap(([name, one]) =>
    [...one.verdicts()].map(([what, verdict]) => vitalRow(`${name}: ${what}`, verdict, options.minutes)),
  );
  return [
    ...lines,
    ...[...counts].map(([what, n]) => `${what}: ${n} requests that did not go well`),
    '',
    'medians of the second and of the last quarter',
    columns([['', 'second', 'last', 'at most', ''], ...rows]),
    '',
    ...(violations.length === 0
      ? ['no violations']
      : [`${violations.length} violations`, ...violations.map((text) => `  ${text}`)]),
  ].join('\n');
}

const vitalRow = (
  name: string,
  { second, last, allowed, flat }: Flatness,
  minutes: number,
): readonly string[] => [
  name,
  second.toFixed(1),
  last.toFixed(1),
  allowed.toFixed(1),
  minutes < JUDGED_MINUTES ? 'not judged' : flat ? 'flat' : 'NOT FLAT',
];
