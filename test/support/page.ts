// A page of the docs as something to be done: its shell blocks in order, each with the output that the page shows
// below it. `…` in shown output stands for whatever is there; alone on a line, for any lines. Pure.

export interface Step {
  /** Where the block begins in the page, from 1. */
  readonly line: number;
  readonly commands: string;
  /** undefined when the page shows none. */
  readonly shown: string | undefined;
}

/** ```sh blocks, each with the next ```text block when that comes before another ```sh. */
export function stepsOf(page: string): readonly Step[] {
  const steps: Step[] = [];
  for (const match of page.matchAll(/^```(sh|text)\n([^]*?)^```$/gm)) {
    const [, kind, text = ''] = match;
    if (kind === 'sh') {
      const line = page.slice(0, match.index).split('\n').length;
      steps.push({ line, commands: text, shown: undefined });
      continue;
    }
    const last = steps.pop();
    if (!last || last.shown !== undefined) throw new Error(`output without commands:\n${text}`);
    steps.push({ ...last, shown: text });
  }
  return steps;
}

/** Whether the output is what was shown. White space between words does not count, nor colours. */
export function isShown(shown: string, output: string): boolean {
  const lines = shown
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '…' ? '(?:.*\\n)*' : `${lineExpression(line)}\\n`));
  return new RegExp(`^${lines.join('')}$`).test(`${plain(output)}\n`);
}

const lineExpression = (line: string): string =>
  ` *${line
    .trim()
    .split(/ +/)
    .map((word) => word.split('…').map(escaped).join('.*?'))
    .join(' +')} *`;

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

function plain(output: string): string {
  // eslint-disable-next-line no-control-regex -- colours are control characters.
  return output.replace(/\u001b\[\d*m/g, '').trim();
}
