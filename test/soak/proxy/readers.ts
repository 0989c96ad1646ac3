// The differential and fuzz suites of the HTTP parsers, over and over, in processes of their own: the one watched for
// its memory, the other begun anew each round. What fails prints its seed and what differed.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('read-on.ts', import.meta.url));
const VITEST = fileURLToPath(new URL('../../../node_modules/vitest/vitest.mjs', import.meta.url));
const FUZZ = 'test/unit/proxy/http/fuzz.test.ts';

export interface Running {
  readonly pid: number;
  /** Its output once it has ended; `code` 0: well. */
  readonly ended: Promise<{ readonly code: number; readonly text: string }>;
}

/** The differential suite in one process until `signal` aborts: its memory must be flat. */
export function readOn(seed: number, signal: AbortSignal): Running {
  return run(['--import', 'tsx', SCRIPT, String(seed)], signal);
}

/** One round of the fuzz suite; fast-check draws a seed and prints it with what it found. */
export function fuzzRound(signal: AbortSignal): Running {
  return run([VITEST, 'run', FUZZ, '--reporter=dot'], signal);
}

function run(args: readonly string[], signal: AbortSignal): Running {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => (text = (text + part).slice(-8_000)));
  }
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const ended = new Promise<{ readonly code: number; readonly text: string }>((resolve) => {
    child.on('error', () => resolve({ code: 1, text: 'it could not be started' }));
    child.on('close', (code) => {
      signal.removeEventListener('abort', stop);
      resolve({ code: signal.aborted ? 0 : (code ?? 1), text });
    });
  });
  return { pid: child.pid ?? 0, ended };
}
