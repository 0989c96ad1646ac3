// Where the time goes: sums self time by function over a V8 CPU profile.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

export interface SelfTime {
  readonly where: string;
  /** Of all time that was not idle, 0…1. */
  readonly share: number;
  readonly ms: number;
}

/** The functions with the most self time in the profiles of a folder (one for each thread). */
export async function topFunctions(dir: string, count = 15): Promise<SelfTime[]> {
  const files = (await readdir(dir)).filter((name) => name.endsWith('.cpuprofile'));
  const spent = new Map<string, number>();
  for (const file of files) {
    add(JSON.parse(await readFile(join(dir, file), 'utf8')) as CpuProfile, spent);
  }
  spent.delete('(idle)');
  const total = [...spent.values()].reduce((sum, time) => sum + time, 0);
  return [...spent]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([where, time]) => ({ where, share: time / total, ms: time / 1000 }));
}

function add(profile: CpuProfile, spent: Map<string, number>): void {
  const names = new Map(profile.nodes.map((node) => [node.id, nameOf(node.callFrame)]));
  profile.samples.forEach((id, index) => {
    const name = names.get(id) ?? '?';
    // A sample stands for the time until the next one.
    spent.set(name, (spent.get(name) ?? 0) + (profile.timeDeltas[index + 1] ?? 0));
  });
}

function nameOf(frame: CpuProfile['nodes'][number]['callFrame']): string {
  const name = frame.functionName === '' ? '(anonymous)' : frame.functionName;
  if (frame.url === '') return name;
  const place = frame.url.replace(/^file:\/\//, '').replace(/^.*\/(dist|node_modules)\//, '');
  return `${name}  ${place}:${frame.lineNumber + 1}`;
}
