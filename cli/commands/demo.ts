// `isthmus demo`: a service moves from virtual machines to pods, in one process, with no other server. The services,
// the registries (files), the control plane, the data planes and the traffic are real; the story only pushes them.
import { childController } from '../../lib/abort.ts';
import { sleep, systemClock } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { HEADLINE, ending, introduction } from '../demo/introduction.ts';
import { findEnvoy } from '../demo/planes.ts';
import { createPanel } from '../demo/panel.ts';
import { createScreen } from '../demo/screen.ts';
import { tellStory } from '../demo/story.ts';
import type { Pace } from '../demo/story.ts';
import { summary, tallyLine } from '../demo/tally.ts';
import { Teller } from '../demo/teller.ts';
import { startWorld } from '../demo/world.ts';
import { EXIT } from '../exit.ts';
import { paint, wantsColour } from '../paint.ts';
import { stopOnSignals } from '../signals.ts';

export interface DemoFlags {
  readonly envoy?: boolean;
  readonly once?: boolean;
  readonly fast?: boolean;
}

const STOP_MS = 4_000;
const LINE_MS = 10_000;

const PACE: Pace & { readonly pauseMs: number } = {
  firstRequests: 600,
  step: '6s',
  minRequests: 40,
  quiet: '5s',
  pauseMs: 2_500,
};
const FAST: typeof PACE = { firstRequests: 100, step: '1s', minRequests: 15, quiet: '4s', pauseMs: 0 };

type Closers = (() => Promise<void> | void)[];

export async function demo(flags: DemoFlags): Promise<void> {
  const envoy = flags.envoy === true ? findEnvoy(process.env) : '';
  const clock = systemClock;
  const stop = stopOnSignals({ clock, withinMs: STOP_MS });
  const closers: Closers = [() => stop.release()];
  const { controller, release } = childController(stop.signal);
  closers.push(release);
  try {
    await run({ flags, envoy, clock }, closers, controller.signal);
  } catch (thrown) {
    if (!stop.signal.aborted) throw thrown;
  } finally {
    controller.abort(new Error('the demo is over'));
    await closeAll(closers);
  }
}

/** All of them, whatever becomes of one. */
async function closeAll(closers: Closers): Promise<void> {
  const faults: unknown[] = [];
  for (const close of closers.reverse()) {
    try {
      await close();
    } catch (thrown) {
      faults.push(thrown);
    }
  }
  if (faults.length > 0) throw new AggregateError(faults);
}

interface DemoOptions {
  readonly flags: DemoFlags;
  readonly envoy: string;
  readonly clock: Clock;
}

async function run({ flags, envoy, clock }: DemoOptions, closers: Closers, stop: AbortSignal): Promise<void> {
  const pen = paint(wantsColour(process.stdout, process.env));
  const screen = createScreen(process.stdout, process.env);
  screen.say(`${pen('bold', HEADLINE)}\n\n`);
  const world = await startWorld({ clock, envoy }, closers, stop);
  screen.say(introduction(world, envoy));
  const started = clock.monotonic();
  const seconds = () => (clock.monotonic() - started) / 1_000;
  const showing = createPanel({ world, screen, pen, clock, seconds }).run(stop);
  closers.push(async () => {
    await showing;
    screen.clear();
    screen.say(`\n${summary(world.tally, seconds(), pen)}`);
  });
  // Ends before what was pushed above: the last answers count.
  world.call();
  const pace = flags.fast === true ? FAST : PACE;
  const telling = { world, screen, pen, clock, signal: stop, seconds, pauseMs: pace.pauseMs };
  await tellStory(new Teller(telling), pace).catch((thrown: unknown) => {
    if (!stop.aborted) {
      world.files.keep();
      screen.say(`\nThis went wrong; files and log are left in ${world.files.dir}`);
    }
    throw thrown;
  });
  if (world.tally.failed > 0) process.exitCode = EXIT.failure;
  if (flags.once === true) return;
  screen.say(ending(world, pen));
  while (!stop.aborted) {
    await sleep(LINE_MS, stop, clock);
    if (!screen.live) screen.say(tallyLine(world.tally, seconds(), pen));
  }
}
