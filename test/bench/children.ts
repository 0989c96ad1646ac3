// The processes of a bench: pinned to a core, on loopback, and never left behind, whatever ends the bench.
// They are ended by their own pid and in no other way.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Child, ChildrenLike, StartOptions } from './types.ts';

const STDERR_KEPT = 16_384;

interface Entry {
  readonly process: ChildProcess;
  readonly ended: Promise<number>;
}

export class Children implements ChildrenLike {
  readonly #running = new Map<number, Entry>();

  constructor() {
    // The last resort, for an exit that did not come through stopAll().
    process.on('exit', () => {
      for (const { process: child } of this.#running.values()) child.kill('SIGKILL');
    });
  }

  /** Throws when the command cannot be run at all. */
  start(options: StartOptions): Child {
    const { name, core, command, args } = options;
    // taskset executes the command in its own place: the pid stays.
    const [program, all] =
      core === undefined ? [command, args] : ['taskset', ['-c', String(core), command, ...args]];
    const startedAt = performance.now();
    const child = spawn(program, all, { stdio: ['ignore', 'pipe', 'pipe'] });
    const { pid } = child;
    child.on('error', () => undefined); // told by `pid` here, or by `exit`
    if (pid === undefined) throw new Error(`${name}: cannot run ${program}`);
    let out = '';
    let err = '';
    let over = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err = (err + text).slice(-STDERR_KEPT)));
    const ended = new Promise<number>((resolve) => {
      child.once('close', (code) => {
        over = true;
        this.#running.delete(pid);
        resolve(code ?? 128);
      });
    });
    this.#running.set(pid, { process: child, ended });
    return {
      name,
      pid,
      startedAt,
      ended,
      get hasEnded() {
        return over;
      },
      stdout: () => out,
      stderr: () => err.trim(),
    };
  }

  /** SIGTERM, and SIGKILL when it has not ended after `graceMs` (default 5,000). */
  async stop(child: Child, graceMs = 5_000): Promise<void> {
    const entry = this.#running.get(child.pid);
    if (entry) await end(entry, graceMs);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((entry) => end(entry, 2_000)));
  }
}

async function end(entry: Entry, graceMs: number): Promise<void> {
  entry.process.kill('SIGTERM');
  const timer = setTimeout(() => entry.process.kill('SIGKILL'), graceMs);
  await entry.ended;
  clearTimeout(timer);
}
