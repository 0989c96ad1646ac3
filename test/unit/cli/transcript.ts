// A run of the demo as the README shows it, and what of it is the same in every run.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export const README = fileURLToPath(new URL('../../../README.md', import.meta.url));

const [BEGIN, END] = ['<!-- npm run transcript -->\n```text\n', '```\n<!-- /npm run transcript -->'];

/** Its text and what is around it. */
export async function readmeTranscript(): Promise<{
  readonly text: string;
  with(text: string): string;
}> {
  const readme = await readFile(README, 'utf8');
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`README.md: no ${BEGIN.trim()} … ${END}`);
  return {
    text: readme.slice(from + BEGIN.length, to),
    with: (text) => readme.slice(0, from + BEGIN.length) + text + readme.slice(to),
  };
}

/** As a stranger's machine would show it: without the names of this one. */
export function anonymous(output: string): string {
  return output
    .replaceAll(/\/\S*\/isthmus-demo-\w+/g, '/tmp/isthmus-demo')
    .replaceAll(/\b\S+@\S+?(?=[:,)\s])/g, (who) => (who.startsWith('orders@') ? who : 'you@here'))
    .replace(/^ +Some default ports were taken.*\n/m, '')
    .trimStart();
}

/**
 * Line by line without numbers, ages and the widths of columns. Left out is what depends on how fast the machine is:
 * what a plan warns of, who answered until then, what was reported in the last second, which check came first.
 */
export function shapeOf(output: string): readonly string[] {
  const plan = /(migrate plan[^\n]*\n)[\s\S]*?(\n *ready: )/;
  return anonymous(output)
    .replace(plan, '$1$2')
    .split('\n')
    .map((line) =>
      line
        .replace(/ · orders\/.*/, '')
        .replace(/ready: score.*/, 'ready')
        .replaceAll(/\d[\d.:TZ-]*/g, '#')
        .replaceAll(/#(s|m|ms|h)\b/g, '#')
        .replace(/ live (healthy|unknown) /, ' live ')
        .replace(/^( *Share .*), [^,]* measured$/, '$1')
        .replace(/^ *(Requests vms|conflict) .*$/, '')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
}
