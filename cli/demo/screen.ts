// Where the demo is shown. On a terminal: what was said scrolls, and below it a panel is redrawn in place. Elsewhere:
// plain lines only, what was said. Nobody else writes to that stream meanwhile.
import { stripVTControlCharacters } from 'node:util';

export interface Output {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}

export interface Screen {
  /** Whether there is a panel. */
  readonly live: boolean;
  /** Lines that stay. */
  say(text: string): void;
  /** Draws the panel anew. */
  draw(lines: readonly string[]): void;
  /** Takes the panel away. */
  clear(): void;
}

export function createScreen(out: Output, env: Readonly<Record<string, string | undefined>>): Screen {
  const live = out.isTTY === true && env['TERM'] !== 'dumb';
  let drawn = 0;
  let last: readonly string[] = [];
  const up = () => (drawn === 0 ? '' : `\u001b[${drawn}A\r\u001b[J`);
  const panel = () => {
    const columns = out.columns ?? 80;
    // A panel higher than the terminal could not be taken back.
    const fitting = last.slice(0, Math.max(0, (out.rows ?? 24) - 2)).map((line) => cut(line, columns - 1));
    drawn = fitting.length;
    return fitting.map((line) => `${line}\n`).join('');
  };
  return {
    live,
    say(text) {
      const ended = text.endsWith('\n') ? text : `${text}\n`;
      out.write(live ? `${up()}${ended}${panel()}` : ended);
    },
    draw(lines) {
      if (!live) return;
      const erase = up();
      last = lines;
      out.write(erase + panel());
    },
    clear() {
      if (live) out.write(up());
      drawn = 0;
      last = [];
    },
  };
}

/** A line that wraps would make the panel higher than it is thought to be; colours go before letters do. */
function cut(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= columns ? line : plain.slice(0, Math.max(0, columns));
}
