// Rows `catalogue-…`: the aggregator with a million endpoints of three sources that exist only in its process: what
// it keeps, what a change costs, how long the event loop is held by long lists, and the way back after a restart.
import { fileURLToPath } from 'node:url';
import type { Goal, Metric, Row, Sample, Stage } from '../types.ts';
import { untilEnded } from '../wait.ts';

const OWN = 'isthmus';
/** Of V8; other work on the machine needs room, too. */
const HEAP_MIB = 3_500;

const metric = (key: string, title: string, digits = 0): Metric => ({ key, title, digits, bare: true });
const goal = (key: string, text: string, atMost: number): Goal => ({ text, metric: key, of: OWN, atMost });

const KEEP: readonly Metric[] = [
  metric('memory', 'heap, B per endpoint'),
  metric('rss', 'RSS, MiB'),
  metric('syncCpu', 'first list of a third: CPU, s', 2),
  metric('syncHeld', 'loop held, CPU ms'),
  metric('singleMs', 'one change to snapshot: CPU, ms', 2),
  metric('rate', '5,000 changes/s: taken per s'),
  metric('rateCpu', 'CPU, % of a core'),
  metric('ratePerChangeUs', 'CPU, µs per change'),
  metric('rateHeld', 'loop held, CPU ms'),
  metric('darkHeld', 'a third goes dark: loop held, CPU ms'),
  metric('backHeld', 'and is back: loop held, CPU ms'),
  metric('backCpu', 'CPU, s', 2),
  metric('rewritten', 'slices written by both'),
  metric('otherHeld', 'a third changes: loop held, CPU ms'),
  metric('otherCpu', 'CPU, s', 2),
];

const XDS: readonly Metric[] = [
  metric('xdsFirstS', 'all resources: s', 1),
  metric('xdsFirstCpu', 'CPU, s', 2),
  metric('xdsFirstHeld', 'loop held, CPU ms'),
  metric('xdsMemory', 'heap, B per endpoint more'),
  metric('singleMs', 'one change to snapshot: CPU, ms', 2),
  metric('xdsSingleMs', 'one change to resources: CPU, ms', 2),
  metric('routeAddMs', 'one service more, its routes: CPU, ms', 3),
  metric('routeBytesMs', 'all routes as bytes: CPU, ms'),
  metric('routeMb', 'MB', 1),
];

const RESTART: readonly Metric[] = [
  metric('writeS', 'writing: s', 1),
  metric('writeCpu', 'CPU, s', 1),
  metric('writeHeld', 'loop held, CPU ms'),
  metric('fileMb', 'files, MB'),
  metric('restartS', 'loading: s', 1),
  metric('restartCpu', 'CPU, s', 1),
  metric('restartHeld', 'loop held, CPU ms'),
];

export const catalogueRows: readonly Row[] = [
  row(
    'keep',
    'a million endpoints: memory, changes, long lists',
    KEEP,
    ['keep'],
    [
      goal('memory', 'heap, B per endpoint', 600),
      goal('singleMs', 'one change to its snapshot, CPU ms', 1),
      goal('rateCpu', '5,000 changes/s, % of a core', 100),
      goal('syncHeld', 'event loop held by a first list, CPU ms', 50),
      goal('backHeld', 'event loop held by a source that is back, CPU ms', 50),
      goal('otherHeld', 'event loop held by a list of changes, CPU ms', 50),
    ],
  ),
  row(
    'xds',
    'a million endpoints: what xDS adds',
    XDS,
    ['xds'],
    [
      goal('xdsSingleMs', 'one change to its resources, CPU ms', 1),
      goal('xdsFirstHeld', 'event loop held by the first snapshot, CPU ms', 50),
    ],
  ),
  row(
    'restart',
    'a million endpoints: last known good',
    RESTART,
    ['write', 'restart'],
    [goal('restartS', 'loading, s', 10), goal('writeHeld', 'event loop held by writing, CPU ms', 50)],
  ),
];

/** @param tasks each in a process of its own, one after the other. */
function row(
  name: string,
  title: string,
  metrics: readonly Metric[],
  tasks: readonly string[],
  goals: readonly Goal[],
): Row {
  return {
    name: `catalogue-${name}`,
    group: 'catalogue',
    repetitions: 1,
    title,
    metrics,
    goals,
    own: OWN,
    measureMs: 240_000,
    prepare: (stage) =>
      Promise.resolve({
        peers: [
          {
            name: OWN,
            version: `Node ${process.version}`,
            async measure(signal) {
              let sample: Sample = {};
              for (const task of tasks) sample = { ...sample, ...(await run(stage, task, signal)) };
              return sample;
            },
          },
        ],
        skipped: [],
      }),
  };
}

async function run(stage: Stage, task: string, signal: AbortSignal): Promise<Sample> {
  const script = fileURLToPath(new URL('../servers/catalogue.mjs', import.meta.url));
  const heap = ['--expose-gc', `--max-old-space-size=${HEAP_MIB}`];
  const child = stage.children.start({
    name: `isthmus ${task}`,
    core: stage.cores.server,
    command: process.execPath,
    args: [
      ...stage.nodeOptions,
      ...heap,
      script,
      '--dist',
      stage.dist,
      '--task',
      task,
      '--folder',
      stage.dir,
    ],
  });
  try {
    const code = await untilEnded(child, signal);
    if (code !== 0) throw new Error(`${child.name} ended with ${code}: ${child.stderr()}`);
    return JSON.parse(child.stdout()) as Sample;
  } finally {
    await stage.children.stop(child);
  }
}
