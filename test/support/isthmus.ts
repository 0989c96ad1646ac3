// Starts the command as a user would: the built `isthmus` in a process of its own.
import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LogTail } from './running-server.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface IsthmusProcess {
  readonly pid: number;
  log(): string;
  /** undefined while it runs; null when a signal ended it. */
  exitCode(): number | null | undefined;
  /** Sends the signal and resolves with the exit code (null: ended by the signal). */
  end(signal: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): Promise<number | null>;
}

export interface ProcessOptions {
  /** How far its wall clock is ahead. Default 0. */
  readonly skewMs?: number;
}

const SKEWED_CLOCK = new URL('skewed-clock.mjs', import.meta.url).href;

/** A long-running command, such as `serve`. The caller ends it. */
export function startIsthmus(args: readonly string[], { skewMs = 0 }: ProcessOptions = {}): IsthmusProcess {
  const skewed = skewMs === 0 ? [] : ['--import', SKEWED_CLOCK];
  const child = spawn(process.execPath, [...skewed, mainFile(), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TEST_SKEW_MS: String(skewMs) },
  });
  const tail = new LogTail();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => tail.append(chunk));
  }
  let code: number | null | undefined;
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (value) => {
      code = value;
      resolve(value);
    });
  });
  return {
    pid: pidOf(child),
    log: () => tail.toString(),
    exitCode: () => code,
    end(signal) {
      if (code === undefined) child.kill(signal);
      return exited;
    },
  };
}

/** A command that prints and ends; rejects when it fails. */
export async function isthmus(...args: string[]): Promise<string> {
  return (await isthmusSaid(...args)).stdout;
}

/** The same with what it warned of. */
export async function isthmusSaid(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [mainFile(), ...args]);
}

export function isthmusSync(...args: string[]): string {
  return execFileSync(process.execPath, [mainFile(), ...args], { encoding: 'utf8' });
}

export function mainFile(): string {
  if (!existsSync(MAIN)) throw new Error('dist is not built: npm run build');
  return MAIN;
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('isthmus could not be started');
  return child.pid;
}
