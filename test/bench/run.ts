// npm run bench [-- NAME…]: measures Isthmus beside its peers and prints ratios. Exit code 0 also when a goal
// is missed (a busy machine is no defect); 1 when a row could not be run; 2 for wrong arguments.
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeError } from '../../lib/errors.ts';
import { Children } from './children.ts';
import { profileRow, runRow } from './frame.ts';
import type { FrameOptions } from './frame.ts';
import { machine, pin } from './machine.ts';
import { machineText, profileText, rowText } from './print.ts';
import { catalogueRows } from './rows/catalogue.ts';
import { proxyIdleRow } from './rows/proxy-idle.ts';
import { proxyStartRow } from './rows/proxy-start.ts';
import { proxyTableRow } from './rows/proxy-table.ts';
import { proxyTcpRow } from './rows/proxy-tcp.ts';
import { proxyBodyRow, proxyRow } from './rows/proxy.ts';
import { replicasRow } from './rows/replicas.ts';
import { sourceRows } from './rows/sources.ts';
import { xdsPathRow } from './rows/xds-path.ts';
import { xdsRows } from './rows/xds.ts';
import type { Row, RowResult } from './types.ts';

const ROWS: readonly Row[] = [
  proxyRow,
  proxyBodyRow,
  proxyTableRow,
  proxyIdleRow,
  proxyStartRow,
  proxyTcpRow,
  ...xdsRows,
  xdsPathRow,
  ...sourceRows,
  ...catalogueRows,
  replicasRow,
];

const HELP = `npm run bench -- [ROW…] [options]

rows: ${ROWS.map((row) => `${row.name} (${row.title})`).join('\n      ')}
  all rows of a group by its name: proxy, xds, sources, catalogue, replicas; without a name: those of no group
  -r, --repetitions N   default 5; of long rows 1
  -o, --output FILE     everything as JSON, too
  --all                 also peers that no goal needs
  --profile             profile our own server even if no goal is missed
  --dist FOLDER         the built tree to measure, default dist (to compare two builds)
  --max MINUTES         bound on the whole, default 20
`;

interface Arguments {
  readonly rows: readonly Row[];
  /** undefined: each row's own. */
  readonly repetitions: number | undefined;
  readonly output: string | undefined;
  readonly all: boolean;
  readonly profile: boolean;
  readonly maxMinutes: number;
  readonly dist: string;
}

function readArguments(): Arguments {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      repetitions: { type: 'string', short: 'r' },
      output: { type: 'string', short: 'o' },
      all: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      dist: { type: 'string', default: 'dist' },
      max: { type: 'string', default: '20' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    process.exit(0);
  }
  const rows = positionals.flatMap((name) => {
    const found = ROWS.filter((known) => known.name === name || known.group === name);
    if (found.length === 0) throw new Error(`no row "${name}"`);
    return found;
  });
  return {
    rows: rows.length === 0 ? ROWS.filter((row) => row.group === undefined) : rows,
    repetitions: values.repetitions === undefined ? undefined : positive('--repetitions', values.repetitions),
    output: values.output,
    all: values.all,
    profile: values.profile,
    dist: resolve(values.dist),
    maxMinutes: positive('--max', values.max),
  };
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`${flag}: expected a whole number, got "${text}"`);
  return value;
}

const DEFAULT_REPETITIONS = 5;

type Frame = Omit<FrameOptions, 'repetitions'>;

/** False when the row could not be run. */
async function one(row: Row, args: Arguments, all: Frame, results: RowResult[]): Promise<boolean> {
  const repetitions = args.repetitions ?? row.repetitions ?? DEFAULT_REPETITIONS;
  const frame: FrameOptions = { ...all, repetitions };
  try {
    const result = await runRow(row, frame);
    results.push(result);
    console.log(rowText(row, result, repetitions));
    // Rows with a number of repetitions of their own are long.
    const missed = row.repetitions === undefined && result.goals.some((goal) => goal.met === false);
    const wanted = args.profile || missed;
    if (wanted && !frame.signal.aborted) {
      console.log(`\n${profileText(row.own, await profileRow(row, frame))}`);
    }
    return true;
  } catch (thrown) {
    console.log(`\n## ${row.name}: could not be run: ${describeError(thrown)}`);
    return false;
  }
}

async function bench(args: Arguments): Promise<number> {
  const over = new AbortController();
  const stop = (reason: string) => over.abort(new Error(reason));
  process.on('SIGINT', () => stop('interrupted'));
  process.on('SIGTERM', () => stop('interrupted'));
  const timer = setTimeout(
    () => stop(`the whole took more than ${args.maxMinutes} min`),
    args.maxMinutes * 60_000,
  );

  const { cores, how } = pin();
  const about = machine(how);
  console.log(machineText(about));
  const children = new Children();
  const { all, dist } = args;
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const frame: Frame = { cores, children, all, dist, signal: over.signal, say };
  const results: RowResult[] = [];
  let failed = 0;
  try {
    for (const row of args.rows) {
      if (over.signal.aborted) break;
      if (!(await one(row, args, frame, results))) failed += 1;
    }
  } finally {
    clearTimeout(timer);
    await children.stopAll();
  }
  if (args.output !== undefined) {
    await writeFile(args.output, `${JSON.stringify({ machine: about, rows: results }, undefined, 2)}\n`);
  }
  if (over.signal.aborted) console.log(`ended early: ${describeError(over.signal.reason)}`);
  return failed > 0 || over.signal.aborted ? 1 : 0;
}

let args: Arguments | undefined;
try {
  args = readArguments();
} catch (thrown) {
  process.stderr.write(`${describeError(thrown)}\n\n${HELP}`);
  process.exitCode = 2;
}
if (args) process.exitCode = await bench(args);
