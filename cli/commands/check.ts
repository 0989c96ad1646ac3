// `isthmus check -c FILE`: asks every source once and says what is wrong with it, before anything depends on it.
import { loadConfig } from '../../config/load.ts';
import type { SourceConfig } from '../../config/schema.ts';
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

/** Of one source. */
const NOTES = 5;

/** Where a slip leads to an answer without services. */
const WHERE_TO_LOOK: Readonly<Record<SourceConfig['kind'], string>> = {
  consul: 'Is anything registered? Then check `datacenter`, `tags`, `nodeMeta` and `include` of the source.',
  etcd: 'Is anything registered? Then check `prefix`, `layout` and `include` of the source.',
  zookeeper: 'Is anything registered? Then check `path`, `layout` and `include` of the source.',
  eureka: 'Is anything registered? Then check `urls` and `include` of the source.',
  kubernetes: 'Check `context`, `namespaces`, `namespaceSelector` and `include` of the source.',
  nacos: 'Is anything registered? Then check `namespace`, `groups`, `clusters` and `include` of the source.',
  dns: 'Check `names` and `include` of the source.',
  file: 'Check `path`, `format` and `include` of the source.',
  sidecar: 'Is a sidecar running with `--port`?',
};

export function checkLine(source: CheckedSource, pen: Pen): string {
  const { name, kind, failure, required } = source;
  if (!failure) {
    const seconds = (source.ms / 1000).toFixed(1);
    const counted = `${source.services} services, ${source.endpoints} endpoints in ${seconds} s`;
    const noted = source.notes.slice(0, NOTES).map((note) => `    ${note}\n`);
    if (source.services > 0) return `${pen('green', '✓')} ${name} (${kind}): ${counted}\n${noted.join('')}`;
    const empty = `it answers, but offers no service: ${source.notes[0] ?? counted}`;
    return `${pen('yellow', '!')} ${name} (${kind}): ${empty}\n    ${WHERE_TO_LOOK[kind]}\n`;
  }
  const mark = required ? pen('red', '✗') : pen('yellow', '!');
  const optional = required ? '' : ' (not required)';
  const hint = failure.hint === '' ? '' : `    ${failure.hint}\n`;
  return `${mark} ${name} (${kind})${optional}: ${failure.cause}\n${hint}`;
}
