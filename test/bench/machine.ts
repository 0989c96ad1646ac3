// What a number was measured on, and which core does what.
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import type { Cores } from './types.ts';

export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly loadAverage: readonly number[];
  readonly pinning: string;
}

/** The server under test on core 0, load generator, upstreams and the bench itself on core 1. */
export function pin(): { readonly cores: Cores; readonly how: string } {
  const none = { server: undefined, load: undefined };
  if (process.platform !== 'linux') {
    throw new Error('the benches read /proc/PID/task/*/schedstat: Linux only');
  }
  try {
    if (cpus().length < 2) {
      execFileSync('taskset', ['-c', '0', 'true'], { stdio: 'ignore' });
      return {
        cores: { server: 0, load: 0 },
        how: 'ONE CORE: server and load share it; trust CPU times only',
      };
    }
    execFileSync('taskset', ['-c', '0', 'true'], { stdio: 'ignore' });
    execFileSync('taskset', ['-a', '-c', '-p', '1', String(process.pid)], { stdio: 'ignore' });
    return {
      cores: { server: 0, load: 1 },
      how: 'server on core 0; load, upstreams and this process on core 1',
    };
  } catch {
    return { cores: none, how: 'NOT PINNED: taskset cannot be used here' };
  }
}

export function machine(pinning: string): Machine {
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? '?',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    loadAverage: load(),
    pinning,
  };
}

/** Over 1, 5 and 15 minutes. */
export const load = (): number[] => loadavg().map((value) => Math.round(value * 100) / 100);
