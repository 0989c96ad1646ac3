// Runs a server of the table as a plain process on loopback.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LogTail } from './running-server.ts';
import type { RunningServer, ServerSpec } from './running-server.ts';

const alive = new Set<ChildProcess>();
const folders = new Set<string>();
// A worker that ends in the middle must leave neither servers nor their data behind.
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export async function startProcess(spec: ServerSpec): Promise<RunningServer> {
  folders.add(spec.dir);
  await writeFiles(spec);
  const tail = new LogTail();
  let child = launch(spec, tail);
  const kill = async () => {
    if (hasEnded(child)) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  };
  return {
    get pid() {
      return child.pid;
    },
    get ended() {
      return hasEnded(child);
    },
    async pause() {
      child.kill('SIGSTOP');
    },
    async resume() {
      child.kill('SIGCONT');
    },
    kill,
    async restart() {
      await kill();
      child = launch(spec, tail);
    },
    async restartEmpty() {
      await kill();
      await rm(spec.dir, { recursive: true, force: true, maxRetries: 5 });
      await writeFiles(spec);
      child = launch(spec, tail);
    },
    async stop() {
      await kill();
      await rm(spec.dir, { recursive: true, force: true, maxRetries: 5 });
      folders.delete(spec.dir);
    },
    readFile: (name) => readFile(join(spec.dir, name), 'utf8'),
    log: () => tail.toString(),
  };
}

async function writeFiles(spec: ServerSpec): Promise<void> {
  await mkdir(spec.dir, { recursive: true });
  for (const [name, content] of Object.entries(spec.files)) {
    const file = join(spec.dir, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content, { mode: 0o600 });
  }
}

function launch(spec: ServerSpec, tail: LogTail): ChildProcess {
  const child = spawn(spec.binary, spec.args, { cwd: spec.dir, stdio: ['ignore', 'pipe', 'pipe'] });
  alive.add(child);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => tail.append(chunk));
  }
  child.once('error', (error) => tail.append(`could not be started: ${error.message}\n`));
  child.once('exit', (code, signal) => {
    alive.delete(child);
    tail.append(`[ended: ${signal ?? `code ${code}`}]\n`);
  });
  return child;
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}
