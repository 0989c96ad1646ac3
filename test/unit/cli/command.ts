// Runs the command from source, as a process of its own.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');

export interface Command {
  stdout(): string;
  stderr(): string;
  kill(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): void;
  /** Exit code; null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Whether it, or a process that it has started, is still there; only with `ownGroup`. */
  isAlive(): boolean;
}

export function start(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; ownGroup?: boolean } = {},
): Command {
  // Only what the test gives: variables of the machine must not reach the config.
  const env = { PATH: process.env['PATH'] ?? '', ...options.env };
  const child = spawn(process.execPath, ['--import', TSX, MAIN, ...args], {
    cwd: options.cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.ownGroup === true,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  return {
    stdout: () => stdout,
    stderr: () => stderr,
    kill: (signal) => void child.kill(signal),
    isAlive() {
      try {
        return child.pid !== undefined && process.kill(-child.pid, 0);
      } catch {
        // ESRCH: nobody of that group is left.
        return false;
      }
    },
    exited: new Promise((resolve) => child.once('close', (code) => resolve(code))),
  };
}

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function run(...args: Parameters<typeof start>): Promise<Result> {
  const command = start(...args);
  const code = await command.exited;
  return { code, stdout: command.stdout(), stderr: command.stderr() };
}

/** Polls until `read` gives something; fails after the deadline with what the command said. */
export async function eventually<T>(
  what: string,
  read: () => T | undefined,
  deadlineMs = 20_000,
): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = read();
    if (value !== undefined) return value;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
