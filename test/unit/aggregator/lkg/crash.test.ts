// The process is killed while it writes, at any instant: what is found is always whole, and one of the states
// that were written.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { readWhole } from '../../../../aggregator/lkg/read.ts';
import { stateOf } from './fixture.ts';

const WRITER = fileURLToPath(new URL('./crashing-writer.ts', import.meta.url));
const TIMES = process.env['ISTHMUS_LONG'] ? 100 : 10;

it(`survives ${TIMES} kills at random instants`, { timeout: TIMES * 30_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-lkg-'));
  const file = join(folder, 'a.lkg');
  try {
    for (let kill = 0; kill < TIMES; kill += 1) {
      const child = spawn(process.execPath, ['--import', 'tsx', WRITER, file, String(kill * 100_000)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      await once(child.stdout, 'data');
      await delay(Math.random() * 50);
      child.kill('SIGKILL');
      await exited;
      const known = await readWhole(file, { source: 'a', kind: 'file', maxBytes: 1e9, notBefore: 0 });
      const n = (known?.writtenAt ?? 0) - 1_000;
      expect(n).toBeGreaterThanOrEqual(kill * 100_000);
      expect(known?.shards).toEqual(stateOf(n));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
