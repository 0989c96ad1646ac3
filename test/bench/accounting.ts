// What the kernel says a process has used. CPU comes from the scheduler in nanoseconds; /proc/PID/stat
// counts ticks of 10 ms, too coarse for short runs.
import { readFile, readdir } from 'node:fs/promises';

/** Nanoseconds on a CPU over all threads that live now; those that have ended are missing. */
export async function cpuNs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(
    threads.map((thread) =>
      readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').then(
        (text) => Number(text.split(' ')[0]),
        () => 0, // the thread has just ended
      ),
    ),
  );
  return times.reduce((sum, time) => sum + time, 0);
}

/** Resident memory in KiB. */
export async function residentKb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN);
}

/** The most that it ever occupied, KiB. */
export async function peakKb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN);
}
