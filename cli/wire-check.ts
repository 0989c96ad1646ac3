// Asks each source of a config once, as `serve` would, without serving anything.
import { createDiscoverer, findSources } from '../adapters/registry.ts';
import type { Config, SourceConfig } from '../config/schema.ts';
import { childController } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { IsthmusError, describeError } from '../lib/errors.ts';
import type { Discoverer } from '../model/discovery.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';

export interface CheckedSource {
  readonly name: string;
  readonly kind: SourceConfig['kind'];
  readonly required: boolean;
  /** undefined: it answered. */
  readonly failure: { readonly cause: string; readonly hint: string } | undefined;
  readonly services: number;
  readonly endpoints: number;
  readonly ms: number;
  /** What it warned of although it answered. */
  readonly notes: readonly string[];
}

export interface CheckOptions {
  readonly clock: Clock;
  /** A source that has neither answered nor failed by then has failed. */
  readonly deadlineMs: number;
}

/** All at once; in the order of the config. */
export async function checkSources(
  config: Config,
  options: CheckOptions,
  signal: AbortSignal,
): Promise<CheckedSource[]> {
  const checked = await Promise.all(
    // Sidecars call us: there is nobody to ask.
    config.sources
      .filter(({ kind }) => kind !== 'sidecar')
      .map(async (source) => {
        const meant = await sourcesOf(source, options, signal);
        return Promise.all(meant.map((each) => checkSource(each, options, signal)));
      }),
  );
  return checked.flat();
}

/** What an entry of the config stands for: itself, too, when that cannot be found out. */
async function sourcesOf(
  source: SourceConfig,
  { clock, deadlineMs }: CheckOptions,
  parent: AbortSignal,
): Promise<readonly SourceConfig[]> {
  const { controller, release } = childController(parent);
  const stop = () => controller.abort(new Error('not found'));
  const cancel = clock.after(deadlineMs, stop);
  const deps = { clock, log: createLogger('silent'), metrics: createMetrics() };
  try {
    for await (const found of findSources(source, deps, stop, controller.signal)) return found;
    return [source];
  } finally {
    cancel();
    stop();
    release();
  }
}

async function checkSource(
  source: SourceConfig,
  options: CheckOptions,
  parent: AbortSignal,
): Promise<CheckedSource> {
  const { clock, deadlineMs } = options;
  const started = clock.monotonic();
  const { controller, release } = childController(parent);
  const cancel = clock.after(deadlineMs, () => controller.abort(new Error('check over')));
  const notes: string[] = [];
  const result = (failure: CheckedSource['failure'], services = 0, endpoints = 0): CheckedSource => {
    const { name, kind, required } = source;
    const ms = clock.monotonic() - started;
    return { name, kind, required, failure, services, endpoints, ms, notes: failure ? [] : notes };
  };
  try {
    const log = createLogger('warn', { write: (line) => void notes.push(noteOf(line)) });
    const deps = { clock, log, metrics: createMetrics() };
    const answer = await firstAnswer(await createDiscoverer(source, deps), controller.signal);
    if (answer === undefined) {
      return result({ cause: `no answer within ${deadlineMs / 1000} s`, hint: 'Is its address right?' });
    }
    if (answer instanceof Error) return result(failureOf(answer));
    return result(undefined, answer.services, answer.endpoints);
  } catch (thrown) {
    return result(failureOf(thrown));
  } finally {
    cancel();
    controller.abort(new Error('check over'));
    release();
  }
}

/** The first list, or why there is none; undefined when the signal aborted before either. */
async function firstAnswer(
  discoverer: Discoverer,
  signal: AbortSignal,
): Promise<{ readonly services: number; readonly endpoints: number } | Error | undefined> {
  for await (const update of discoverer.discover(signal)) {
    if (update.type === 'stale') return update.cause;
    if (update.type === 'sync') {
      const endpoints = update.groups.reduce((sum, group) => sum + group.endpoints.length, 0);
      return { services: update.groups.length, endpoints };
    }
  }
  return undefined;
}

function failureOf(thrown: unknown): { readonly cause: string; readonly hint: string } {
  return { cause: describeError(thrown), hint: thrown instanceof IsthmusError ? thrown.hint : '' };
}

/** A line of the log as a person would say it. */
function noteOf(line: string): string {
  const {
    level: _level,
    time: _time,
    source: _source,
    kind: _kind,
    msg,
    ...facts
  } = JSON.parse(line) as Record<string, unknown>;
  const said = Object.entries(facts).map(
    ([name, fact]) => `${name} ${typeof fact === 'string' ? fact : JSON.stringify(fact)}`,
  );
  return `${String(msg)}${said.length === 0 ? '' : ` (${said.join(', ')})`}`;
}
