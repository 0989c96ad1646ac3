import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lockDataDir } from '../../../cli/data-dir-lock.ts';
import { createLogger } from '../../../telemetry/logger.ts';

const log = createLogger('silent');
const folder = () => mkdtemp(join(tmpdir(), 'lock-'));

test('a folder is for one at a time, and free when it was given back', async () => {
  const dataDir = join(await folder(), 'data');
  const release = await lockDataDir(dataDir, log);
  await expect(lockDataDir(dataDir, log)).rejects.toMatchObject({ code: 'ISTHMUS_DATA_DIR_TAKEN' });
  await release();
  await (await lockDataDir(dataDir, log))();
});

test('what a killed process leaves is no lock', async () => {
  const dataDir = await folder();
  const path = JSON.stringify(join(dataDir, 'lock'));
  const code = `require('node:net').createServer().listen(${path}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await expect(lockDataDir(dataDir, log)).rejects.toMatchObject({ code: 'ISTHMUS_DATA_DIR_TAKEN' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (await lockDataDir(dataDir, log))();
});

test('where there can be no lock it goes without', async () => {
  const at = await folder();
  await writeFile(join(at, 'file'), '');
  for (const dataDir of ['', join(at, 'file'), join(at, 'x'.repeat(200))]) {
    await (await lockDataDir(dataDir, log))();
  }
});
