// Runs once before all tests: finds out which true servers can be started, says so, fails when a required
// one cannot, and hands the findings to the workers. At the end it repeats what was skipped.
import type { TestProject } from 'vitest/node';
import { PEER_NAMES, missingPeers, survey } from './peers.ts';
import type { Survey } from './peers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    peers: Survey;
  }
}

export default async function setup(project: TestProject): Promise<() => void> {
  process.env['TZ'] = 'UTC';
  const found = await survey();
  const lineOf = (name: (typeof PEER_NAMES)[number]) => {
    const choice = found[name];
    return `peer ${name}: ${choice.mode === 'skip' ? `SKIP - ${choice.reason}` : choice.mode}`;
  };
  say(PEER_NAMES.map(lineOf));
  const missing = missingPeers(found);
  if (missing.length > 0) throw new Error(`required peers are missing: ${missing.join(' | ')}`);
  project.provide('peers', found);
  return () => {
    const skipped = PEER_NAMES.filter((name) => found[name].mode === 'skip');
    if (skipped.length > 0) say([`${skipped.length} peers skipped:`, ...skipped.map(lineOf)]);
  };
}

function say(lines: readonly string[]): void {
  process.stderr.write(`${lines.join('\n')}\n`);
}
