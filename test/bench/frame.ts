// Runs one row: prepares its peers, takes the repetitions with the peers interleaved, judges the goals, and
// profiles our own server when a goal is missed. Every run has a hard bound; nothing outlives its row.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeError } from '../../lib/errors.ts';
import type { Children } from './children.ts';
import { judge } from './compare.ts';
import { load } from './machine.ts';
import { topFunctions } from './profile.ts';
import type { SelfTime } from './profile.ts';
import type { Cores, Peer, Row, RowResult, Sample, Skipped, Stage } from './types.ts';

export interface FrameOptions {
  readonly cores: Cores;
  readonly children: Children;
  readonly repetitions: number;
  readonly all: boolean;
  /** Full path of the built tree. */
  readonly dist: string;
  /** Aborts at Ctrl-C and at the bound of the whole. */
  readonly signal: AbortSignal;
  /** A line about progress. */
  say(text: string): void;
}

export async function runRow(row: Row, o: FrameOptions): Promise<RowResult> {
  const startedAt = new Date();
  const samples = new Map<Peer, Sample[]>();
  const skipped: Skipped[] = [];
  const loadAverage = load();
  await onStage(row, o, {}, async (stage) => {
    const prepared = await row.prepare(stage);
    skipped.push(...prepared.skipped);
    const peers = [...prepared.peers];
    for (const peer of peers) samples.set(peer, []);
    try {
      for (let turn = 0; turn < o.repetitions && !o.signal.aborted; turn += 1) {
        await repeat(row, o, turn, peers, samples, skipped);
      }
    } finally {
      await prepared.close?.();
    }
  });
  const peers = Object.fromEntries(
    [...samples].map(([peer, taken]) => [peer.name, { version: peer.version, samples: taken }]),
  );
  return {
    row: row.name,
    title: row.title,
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    loadAverage,
    peers,
    skipped,
    goals: row.goals.map((goal) => judge(goal, peers)),
  };
}

/** One more pass of our own peer alone, under V8's profiler; its numbers are not used. */
export async function profileRow(row: Row, o: FrameOptions): Promise<SelfTime[]> {
  let top: SelfTime[] = [];
  const { controller, release } = bounded(o.signal, 2 * row.measureMs);
  try {
    await onStage(row, o, { only: row.own, profile: true }, async (stage, profiles) => {
      const prepared = await row.prepare(stage);
      try {
        const own = prepared.peers.find((peer) => peer.name === row.own);
        await own?.measure(controller.signal);
        await o.children.stopAll(); // a profile is written when its process ends
        top = await topFunctions(profiles);
      } finally {
        await prepared.close?.();
      }
    });
  } finally {
    release();
  }
  return top;
}

/** A peer that fails is out from then on, by name; what it gave before counts. */
async function repeat(
  row: Row,
  o: FrameOptions,
  turn: number,
  peers: Peer[],
  samples: ReadonlyMap<Peer, Sample[]>,
  skipped: Skipped[],
): Promise<void> {
  // Each repetition starts with another peer, so that none always follows the same one.
  const first = turn % Math.max(1, peers.length);
  for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
    const { controller, release } = bounded(o.signal, row.measureMs);
    try {
      const sample = await peer.measure(controller.signal);
      samples.get(peer)?.push(sample);
      o.say(`${row.name} ${turn + 1}/${o.repetitions} ${peer.name}: ${describeSample(row, sample)}`);
    } catch (thrown) {
      if (o.signal.aborted) return;
      skipped.push({ peer: peer.name, reason: `repetition ${turn + 1}: ${describeError(thrown)}` });
      peers.splice(peers.indexOf(peer), 1);
      o.say(`${row.name} ${turn + 1}/${o.repetitions} ${peer.name}: ${describeError(thrown)}`);
    } finally {
      release();
    }
  }
}

async function onStage(
  row: Row,
  o: FrameOptions,
  mode: { readonly only?: string; readonly profile?: boolean },
  work: (stage: Stage, profiles: string) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), `isthmus-bench-${row.name}-`));
  const profiles = join(dir, 'profiles');
  const nodeOptions = mode.profile === true ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : [];
  try {
    await mkdir(profiles);
    const { cores, children, all, dist, signal } = o;
    const cli = join(dist, 'cli', 'main.js');
    await work({ cores, children, dir, dist, cli, nodeOptions, only: mode.only, all, signal }, profiles);
  } finally {
    await o.children.stopAll();
    await rm(dir, { recursive: true, force: true });
  }
}

/** A controller that aborts with `parent` and after `ms`. */
function bounded(parent: AbortSignal, ms: number) {
  const controller = new AbortController();
  const stop = () => controller.abort(parent.reason);
  if (parent.aborted) stop();
  parent.addEventListener('abort', stop, { once: true });
  const timer = setTimeout(() => controller.abort(new Error(`took more than ${ms / 1000} s`)), ms);
  const release = () => {
    clearTimeout(timer);
    parent.removeEventListener('abort', stop);
  };
  return { controller, release };
}

const describeSample = (row: Row, sample: Sample): string =>
  row.metrics.map(({ key, title, digits }) => `${title} ${sample[key]?.toFixed(digits) ?? '-'}`).join('; ');
