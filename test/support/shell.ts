// One shell that lives on from block to block, as the terminal of somebody who follows a page: variables, the current
// directory and background processes stay.
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from './eventually.ts';

export interface Shell {
  /** Runs a block of lines; gives what it printed (both streams) and the exit code of its last command. */
  run(block: string, withinMs: number): Promise<{ readonly output: string; readonly code: number }>;
  /** Ends it, and what it has started. */
  stop(): Promise<void>;
}

/** @param folder where the blocks are written; it begins in there. */
export async function startShell(folder: string, env: NodeJS.ProcessEnv): Promise<Shell> {
  // A process group of its own: what is left in the background at the end goes with it.
  const child = spawn('bash', ['--noprofile', '--norc'], {
    cwd: folder,
    env,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let text = '';
  let ended = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  }
  child.once('exit', () => (ended = true));
  let count = 0;
  return {
    async run(block, withinMs) {
      count += 1;
      const file = join(folder, `.block-${count}`);
      await writeFile(file, block);
      text = '';
      // Errors first, so that both streams are one in the order of the lines.
      child.stdin.write(`. ${file} </dev/null 2>&1; printf '\\n<<${count}:%s>>\\n' $?\n`);
      const end = new RegExp(`\\n<<${count}:(\\d+)>>\\n`);
      const code = await eventually(() => !ended && end.exec(text)?.[1], {
        withinMs,
        what: 'the end of a block',
      }).catch((cause: unknown) => {
        throw new Error(`it has not come to its end:\n${block}--- printed\n${text}`, { cause });
      });
      return { output: text.replace(end, ''), code: Number(code) };
    },
    async stop() {
      if (child.pid !== undefined) {
        try {
          process.kill(-child.pid, 'SIGKILL');
        } catch (thrown) {
          if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
        }
      }
      await eventually(() => ended, { what: 'the end of the shell' });
    },
  };
}
