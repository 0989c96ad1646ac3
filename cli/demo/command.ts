// Runs `isthmus …` as a user would, in a process of its own, and gives what it printed.
import { spawn } from 'node:child_process';
import { toError } from '../../lib/errors.ts';

export interface CommandOptions {
  /** Beside the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface CommandOutcome {
  /** null: a signal ended it. */
  readonly code: number | null;
  /** Of both streams. */
  readonly text: string;
}

/** Rejects when it cannot be started; when `signal` aborts it is ended first. */
export async function runCommand(
  args: readonly string[],
  { env, signal }: CommandOptions,
): Promise<CommandOutcome> {
  signal.throwIfAborted();
  // As this process was started, whatever that was.
  const [, main = ''] = process.argv;
  const child = spawn(process.execPath, [...process.execArgv, main, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  const kill = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (error) => reject(toError(error)));
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    return { code, text };
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
