// `isthmus check -c FILE`: asks every source once and says what is wrong with it, before anything depends on it.
import { loadConfig } from '../../config/load.ts';
import { systemClock } from '../../lib/clock.ts';
import { EXIT } from '../exit.ts';
import { write } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';
import type { Pen } from '../paint.ts';
import { stopOnSignals } from '../signals.ts';
import { checkSources } from '../wire-check.ts';
import type { CheckedSource } from '../wire-check.ts';

const DEADLINE_MS = 30_000;

/** Exit code 1 when a required source did not answer. */
export async function check(file: string): Promise<void> {
  const config = await loadConfig(file, { env: process.env });
  const stop = stopOnSignals({ clock: systemClock, withinMs: 2_000 });
  const pen = paint(wantsColour(process.stdout, process.env));
  write(`${pen('green', '✓')} ${file} is valid\n`);
  const sources = await checkSources(config, { clock: systemClock, deadlineMs: DEADLINE_MS }, stop.signal);
  stop.release();
  for (const source of sources) write(checkLine(source, pen));
  const failed = sources.filter((source) => source.failure && source.required);
  if (failed.length > 0) process.exitCode = EXIT.failure;
}

export function checkLine(source: CheckedSource, pen: Pen): string {
  const { name, kind, failure, required } = source;
  if (!failure) {
    const seconds = (source.ms / 1000).toFixed(1);
    return `${pen('green', '✓')} ${name} (${kind}): ${source.services} services, ${source.endpoints} endpoints in ${seconds} s\n`;
  }
  const mark = required ? pen('red', '✗') : pen('yellow', '!');
  const optional = required ? '' : ' (not required)';
  const hint = failure.hint === '' ? '' : `    ${failure.hint}\n`;
  return `${mark} ${name} (${kind})${optional}: ${failure.cause}\n${hint}`;
}
